"""Looks for benchmark items in documents, with evidence for every find.

Texts are compared as sequences of words, or of single letters of scripts without spaces (`ngrams`), and simplified and
traditional Chinese as one (`variants`). What a benchmark item says (its question, its passage, its solution) counts as
leaked when one place in the document holds at least a certain share of its n-grams (`benchmark_index`). Asking for a
share of the item in one place, and not for a single n-gram, is what keeps phrases that everybody uses from counting as
leaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import xxhash
from datatrove.data import Document

from sapwood.corpus.annotate import Step
from sapwood.corpus.benchmark_index import RULE_VERSION, BenchmarkIndex, Hit, Item
from sapwood.corpus.block import Annotator, filter_out
from sapwood.corpus.characters import WORDS_VERSION
from sapwood.corpus.formats.content import read_blocks
from sapwood.corpus.formats.row import BrokenFileError
from sapwood.corpus.inputs import list_files, open_file, require_unchanged, take_fingerprints
from sapwood.corpus.normalise import normalise
from sapwood.corpus.store import CONTAMINATION
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Decontamination, Normalise

REMAINDER_CHARACTERS = 100
"""A document of which less is left after cutting is dropped."""
EXCERPT_CHARACTERS = 300

_STRUCT = [("start", pa.int64()), ("end", pa.int64())]
_HIT = [("benchmark", pa.string()), ("item", pa.int64()), ("overlap", pa.float32()), *_STRUCT, ("excerpt", pa.string())]


def load_items(patterns: Sequence[str], settings: Normalise) -> list[Item]:
    """The items in JSONL files (plain or compressed), given as paths, globs or URLs, normalised as documents are.

    Raises SapwoodError where a pattern matches nothing and where a line is no JSON object.
    """
    items = []
    for name, content in _files(patterns):
        for number, line in enumerate(content.split(b"\n")):
            if line.strip():
                items.append(item_of(name, number, _parse(line, name, number), settings))
    return items


def item_of(benchmark: str, number: int, value: Any, settings: Normalise) -> Item:
    """An item with every text in a value of JSON, normalised as documents are."""
    texts = tuple(normalise(text, mojibake=settings.mojibake) for text in texts_of(value))
    converted = () if settings.script is None else tuple(normalise(text, script=settings.script) for text in texts)
    return Item(benchmark, number, texts, () if converted == texts else converted)


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a value of JSON, whatever its key."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_of(part)


def benchmark_fingerprint(patterns: Sequence[str]) -> str:
    """Identifies what is in the files."""
    digest = xxhash.xxh3_128()
    for name, content in _files(patterns):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def evidence_of(text: str, hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """The hits with the words that were found, for people to read."""
    return [
        {**hit._asdict(), "excerpt": text[hit.start : min(hit.end, hit.start + EXCERPT_CHARACTERS)]} for hit in hits
    ]


def reason_of(benchmarks: Sequence[str]) -> str:
    """Why a text that holds items of these benchmarks is dropped."""
    first, *others = sorted(set(benchmarks))
    return f"holds an item of {first}" + (" and others" if others else "")


def cuts_of(text: str, hits: Sequence[Hit]) -> list[dict[str, int]]:
    """The whole lines in which the hits stand, as spans of characters (`start`, `end`), merged and in order."""
    cuts: list[dict[str, int]] = []
    for hit in sorted(hits, key=lambda hit: hit.start):
        start = text.rfind("\n", 0, hit.start) + 1
        stop = text.find("\n", max(hit.end - 1, hit.start))
        end = len(text) if stop < 0 else stop + 1
        if cuts and start <= cuts[-1]["end"]:
            cuts[-1]["end"] = max(cuts[-1]["end"], end)
        else:
            cuts.append({"start": start, "end": end})
    return cuts


def apply_cuts(text: str, cuts: Sequence[dict[str, int]]) -> str:
    """The text without the spans.

    >>> apply_cuts("one\\ntwo\\nthree", [{"start": 4, "end": 8}])
    'one\\nthree'
    """
    kept, reached = [], 0
    for cut in cuts:
        kept.append(text[reached : cut["start"]])
        reached = cut["end"]
    return "".join([*kept, text[reached:]])


class ContaminationCheck(Annotator):
    """Says which benchmark items a document holds, and drops the document or says what is to be cut out of it."""

    columns: ClassVar[dict[str, pa.DataType]] = {
        "hits": pa.list_(pa.struct(_HIT)),
        "cuts": pa.list_(pa.struct(_STRUCT)),
    }

    def __init__(self, index: BenchmarkIndex, overlap: float, *, cut: bool) -> None:
        super().__init__()
        self.index = index
        self.overlap = overlap
        self.cut = cut

    def annotate(self, document: Document) -> None:
        hits = self.index.find(document.text, self.overlap)
        cuts = cuts_of(document.text, hits) if self.cut else []
        document.metadata |= {"hits": evidence_of(document.text, hits), "cuts": cuts}
        left = len(apply_cuts(document.text, cuts).strip())
        if hits and (not self.cut or left < REMAINDER_CHARACTERS):
            filter_out(document, reason_of([hit.benchmark for hit in hits]))


def contamination_step(settings: Decontamination, normalising: Normalise) -> Step:
    """The step that looks for the benchmarks of the recipe, in documents of any source. Reads their files."""
    files = list_files("decontamination", settings.benchmarks)
    taken = take_fingerprints("decontamination", files, {})
    identity = benchmark_fingerprint(settings.benchmarks)
    index = BenchmarkIndex.build(load_items(settings.benchmarks, normalising), settings.ngram)
    require_unchanged("decontamination", files, taken)
    return Step(
        name=CONTAMINATION,
        annotator=ContaminationCheck(index, settings.overlap, cut=settings.action == "cut"),
        settings={
            "words": WORDS_VERSION,
            "rule": RULE_VERSION,
            "benchmarks": identity,
            "normalise": normalising.model_dump(mode="json"),
            "ngram": settings.ngram,
            "overlap": settings.overlap,
            "action": settings.action,
        },
    )


def _files(patterns: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Names without endings, and contents, decompressed."""
    for file in list_files("decontamination", patterns):
        try:
            with open_file(file) as stream:
                content = b"".join(block for block, _ in read_blocks(stream, file.url))
        except BrokenFileError as error:
            raise SapwoodError(f"Benchmarks: {file.url} {error}") from None
        yield file.name.rsplit("/", 1)[-1].partition(".")[0], content


def _parse(line: bytes, name: str, number: int) -> Any:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise SapwoodError(
            f"Benchmarks: row {number} of {name} is no JSON object. Write one item a line, as an object."
        )
    return value
