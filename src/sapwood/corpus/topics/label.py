"""Labels: documents whose topic a language model, or a person, has named.

The prompt is of the kind that the paper's team prints (YuLan-Mini, arXiv 2412.17743, appendix C): the topics, the text,
and the request to answer with the name of exactly one.
"""

from __future__ import annotations

import heapq
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML

from sapwood.corpus.store import DOCUMENTS, REASON, SourceStore
from sapwood.errors import SapwoodError, closest
from sapwood.files import fingerprint, write_lines
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.client import complete
from sapwood.progress import track
from sapwood.recipe import Recipe
from sapwood.recipe.data import Labeller
from sapwood.recipe.document import parse_yaml, read_text
from sapwood.recipe.fields import Name, Strict

SHIPPED = ("syne-en", "syne-zh")
"""The taxonomies that come with Sapwood."""


class Topic(Strict):
    """A topic of a taxonomy."""

    name: Annotated[str, Field(min_length=1)]
    """What it is called, in prompts, answers and labels alike."""
    description: Annotated[str, Field(min_length=1)]
    """What belongs to it and what does not."""


class Taxonomy(Strict):
    """Topics that exclude each other."""

    name: Name
    """What the taxonomy is called."""
    language: str
    """The language of the documents, and of the prompt, as an ISO 639-1 code."""
    topics: Annotated[list[Topic], Field(min_length=2)]
    """The topics."""
    rest: str
    """The topic of documents that belong to no other."""

    @model_validator(mode="after")
    def _consistent(self) -> Taxonomy:
        names = self.names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two topics are called '{twice}'")
        if self.rest not in names:
            raise ValueError(f"the rest '{self.rest}' is no topic. {closest(self.rest, names)}")
        return self

    @property
    def names(self) -> list[str]:
        """The topics' names, in order."""
        return [topic.name for topic in self.topics]

    @property
    def fingerprint(self) -> str:
        """Identifies what the taxonomy says."""
        return fingerprint(self.model_dump())


def load_taxonomy(reference: str) -> Taxonomy:
    """A taxonomy by name, if it comes with Sapwood, or from a YAML file.

    Raises SapwoodError where there is none, or what is there is no taxonomy.
    """
    if reference in SHIPPED:
        return _parse(files(__package__).joinpath(f"{reference}.yaml").read_text(encoding="utf-8"), reference)
    path = Path(reference)
    if not path.is_file():
        raise SapwoodError(
            f"There is no taxonomy '{reference}'. {closest(reference, SHIPPED)} A taxonomy of your own is a YAML file."
        )
    return _parse(read_text(path), str(path))


def _parse(text: str, name: str) -> Taxonomy:
    try:
        return Taxonomy.model_validate(parse_yaml(text, name, YAML(typ="safe")))
    except ValidationError as error:
        found = "\n".join(
            f"{name}: {'.'.join(map(str, item['loc'])) or 'taxonomy'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        raise SapwoodError(found) from None


LABELS = "labels.jsonl"
"""The labels in a taxonomy's directory, one JSON object a line: `id`, `source`, `text`, `topic`."""
ANSWERS = "answers.jsonl"
"""What the model answered, remembered so that nothing is asked twice."""

_ANSWER_TOKENS = 64

_PROMPTS = {
    "en": (
        "You are sorting articles into {count} topics:\n\n{topics}\n\n"
        "Here is an article:\n\n<article>\n{text}\n</article>\n\n"
        "Choose the one topic that fits the article best. Answer with the name of the topic alone."
    ),
    "zh": (
        "你在把文章归入以下{count}个主题：\n\n{topics}\n\n"
        "下面是一篇文章：\n\n<article>\n{text}\n</article>\n\n"
        "请选出与文章最相符的一个主题，只回答主题的名称。"
    ),
}


class Label(NamedTuple):
    """A document whose topic is known."""

    text: str
    topic: str


class Labelled(NamedTuple):
    """What came of labelling."""

    labels: int
    unclear: int
    """Answers that name no topic."""
    failed: int
    """Documents for which the server gave no answer."""
    tokens: int
    """Tokens of prompts and answers."""


def prompt(taxonomy: Taxonomy, text: str) -> str:
    """What a model is asked about a text, in the taxonomy's language where there is a prompt in it, else in English."""
    topics = "\n".join(f"- {topic.name}: {topic.description}" for topic in taxonomy.topics)
    template = _PROMPTS.get(taxonomy.language, _PROMPTS["en"])
    return template.format(count=len(taxonomy.topics), topics=topics, text=text)


def parse_answer(taxonomy: Taxonomy, answer: str) -> str | None:
    """The topic that an answer names: exactly, or but for case, punctuation and numbering, or as the only one in it.

    None where it names none, or several: nothing is guessed.
    """
    plain = {_plain(name): name for name in taxonomy.names}
    lines = [line for line in answer.strip().splitlines() if line.strip()]
    if lines and _plain(lines[0]) in plain:
        return plain[_plain(lines[0])]
    within = f" {_plain(answer)} "
    separated = taxonomy.language != "zh"
    found = {name for key, name in plain.items() if (f" {key} " if separated else key) in within}
    return found.pop() if len(found) == 1 else None


def sample(stores: Mapping[str, SourceStore], after: Mapping[str, tuple[str, ...]], count: int) -> list[dict[str, str]]:
    """Documents to be labelled, `id`, `source` and `text`, evenly from all sources as far as they have them.

    Chosen by a hash of their ids among those that the steps in `after` left: the same ones every time, and a larger
    sample has those of a smaller one.
    """
    chosen: list[dict[str, str]] = []
    for number, (name, store) in enumerate(stores.items()):
        share = (count - len(chosen)) // (len(stores) - number)
        wanted = pa.array(_lowest(store, after[name], share), pa.string())
        for batch in store.read_all({DOCUMENTS: ["id", "text"]}):
            table = pa.table(batch)
            for row in table.filter(pc.is_in(table["id"], wanted)).to_pylist():
                chosen.append({"id": row["id"], "source": name, "text": row["text"]})
    return chosen


def label_documents(
    documents: Sequence[Mapping[str, str]], taxonomy: Taxonomy, labeller: Labeller, directory: Path
) -> Labelled:
    """Asks for the topic of every document, and writes the labels into `directory`.

    Answers are remembered there: stopped work goes on, and a larger sample asks for the new documents alone. Raises
    SapwoodError where the server cannot be reached or used.
    """
    requests = [
        Request(
            ({"role": "user", "content": prompt(taxonomy, document["text"][: labeller.characters])},),
            max_tokens=_ANSWER_TOKENS,
        )
        for document in documents
    ]
    with track(f"labelling {taxonomy.name}", len(requests)) as advance:
        answers = complete(labeller, requests, Cache(directory / ANSWERS), advance)
    topics = [parse_answer(taxonomy, item.text) if isinstance(item, Completion) else None for item in answers]
    labels = [
        {**document, "text": document["text"][: labeller.characters], "topic": topic}
        for document, topic in zip(documents, topics, strict=True)
        if topic is not None
    ]
    write_lines(directory / LABELS, labels)
    given = [item for item in answers if isinstance(item, Completion)]
    return Labelled(
        labels=len(labels),
        unclear=len(given) - len(labels),
        failed=len(answers) - len(given),
        tokens=sum(item.prompt_tokens + item.completion_tokens for item in given),
    )


def read_labels(path: Path, taxonomy: Taxonomy) -> list[Label]:
    """The labels in a JSONL file with `text` and `topic`.

    Raises SapwoodError where the file is missing, a line has no such fields, or a topic is not one of the taxonomy.
    """
    if not path.is_file():
        raise SapwoodError(f"There are no labels in {path}.")
    found: list[Label] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
            label = Label(str(row["text"]), str(row["topic"]))
        except (ValueError, TypeError, KeyError):
            raise SapwoodError(
                f"{path}:{number}: expected an object with 'text' and 'topic', found {line[:60]!r}"
            ) from None
        if label.topic not in taxonomy.names:
            raise SapwoodError(
                f"{path}:{number}: '{label.topic}' is no topic of {taxonomy.name}: {', '.join(taxonomy.names)}"
            )
        found.append(label)
    return found


def gather_labels(recipe: Recipe, reference: str, taxonomy: Taxonomy, directory: Path) -> list[Label]:
    """All labels of a taxonomy there are: those of the recipe's file, and those that a language model gave, which are
    in the taxonomy's `directory`."""
    labels: list[Label] = []
    if reference in recipe.corpus.topics.labels:
        labels += read_labels(Path(recipe.corpus.topics.labels[reference]), taxonomy)
    made = directory / LABELS
    if made.exists():
        labels += read_labels(made, taxonomy)
    return labels


def counts(labels: Sequence[Label], taxonomy: Taxonomy) -> dict[str, int]:
    """Labels of every topic, in the taxonomy's order."""
    found = Counter(label.topic for label in labels)
    return {name: found[name] for name in taxonomy.names}


def _lowest(store: SourceStore, after: tuple[str, ...], count: int) -> list[str]:
    heap: list[tuple[int, str]] = []
    for batch in store.read_all({DOCUMENTS: ["id"], **{step: [REASON] for step in after}}):
        table = pa.table(batch)
        for step in after:
            table = table.filter(pc.is_null(table[f"{step}.{REASON}"]))
        for name in dict.fromkeys(table["id"].to_pylist()):
            entry = (-xxhash.xxh3_64_intdigest(f"label\0{name}".encode()), name)
            if len(heap) < count:
                heapq.heappush(heap, entry)
            elif count and entry > heap[0]:
                heapq.heapreplace(heap, entry)
    return [name for _, name in heap]


def _plain(text: str) -> str:
    """Words alone, in lower case, without what numbers an item of a list."""
    folded = unicodedata.normalize("NFKC", text).lower()
    # A mark belongs to its letter, and \w does not know it.
    kept = "".join(c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in folded)
    return re.sub(r"^\d+ ", "", " ".join(kept.split()))
