"""The leaves of the mixture: sources, or the topics of a source; which documents they hold, and how many tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sapwood.arrays import MappedArray, save_array
from sapwood.corpus.selection import HOLDOUT
from sapwood.corpus.store import SELECTION, TOPICS, SourceStore
from sapwood.files import atomic_directory, read_json, write_json
from sapwood.recipe import Recipe
from sapwood.recipe.check import members, split_by_topic
from sapwood.runs.manifest import Manifest, begin, finished, read_manifest, remake
from sapwood.tokens.store import TokenStore, read_column

_NAMES = "topics.json"
_MEMBERS = "members.npy"


@dataclass(frozen=True, slots=True)
class Domain:
    """A leaf of the mixture."""

    name: str
    """The source, or `SOURCE/TOPIC` where the topics of the source are domains of their own."""
    group: str
    source: str
    tokens: int | None
    """Tokens there are to train on; None where nothing is known yet."""
    measured: bool
    """Whether `tokens` was counted, or is what the recipe expects."""
    max_epochs: Fraction | None
    """How often it may be gone through."""

    @property
    def limit(self) -> int | None:
        """The most tokens of it that may be trained on; None for no limit."""
        if self.tokens is None or self.max_epochs is None:
            return None
        return int(self.tokens * self.max_epochs)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many tokens there are to train on: by source, and by topic in sources that are divided."""

    sources: Mapping[str, int]
    topics: Mapping[str, Mapping[str, int]]
    """Empty for a source whose documents were not divided yet."""
    held_out: Mapping[str, int] = field(default_factory=dict)
    """Held-out documents of every prepared source, and of its topics as `SOURCE/TOPIC`."""


def domains_of(recipe: Recipe, sizes: Sizes) -> list[Domain]:
    """The domains of a recipe, in its order. A source that is to be divided but is not prepared yet is one domain."""
    found = []
    for group in recipe.groups:
        for source in members(recipe, group):
            parts: Mapping[str, int | None] = sizes.topics.get(source, {}) if source in split_by_topic(recipe) else {}
            named = {f"{source}/{topic}": tokens for topic, tokens in parts.items()}
            for name, tokens in (named or {source: sizes.sources.get(source, recipe.sources[source].tokens)}).items():
                limit = recipe.sources[source].max_epochs
                found.append(Domain(name, group, source, tokens, source in sizes.sources, limit))
    return found


def divide(corpus: SourceStore, tokens: Path, directory: Path) -> Mapping[str, int]:
    """Writes down which documents of a source belong to each topic, unless that was done, and counts their tokens.

    `tokens` is the directory of the source's token shards. Raises SapwoodError where the topics are missing.
    """
    encoded = read_manifest(tokens)
    planned = Manifest(
        step="topics of the documents to train on",
        inputs={"tokens": encoded.fingerprint if encoded else None, TOPICS: corpus.manifest(TOPICS).fingerprint},
        settings={"source": corpus.name},
    )
    if finished(directory, planned) is None:
        begin(directory, planned, ["[0-9]*", _NAMES])
        store = TokenStore(tokens, "train")
        lengths = store.lengths()
        found = read_column(corpus, store, TOPICS, "topic").combine_chunks().dictionary_encode()
        codes = np.asarray(found.indices.to_numpy(zero_copy_only=False))
        topics = found.dictionary.to_pylist()
        counts = {}
        for number, topic in sorted(enumerate(topics), key=lambda item: item[1]):
            chosen = np.flatnonzero(codes == number).astype(np.uint32)
            counts[topic] = int(lengths[chosen].sum())
            with atomic_directory(directory / f"{len(counts) - 1:03d}") as target:
                save_array(target / _MEMBERS, chosen)
        write_json(directory / _NAMES, counts, sealed=True)
        replace(planned, counts=dict.fromkeys(counts, 0) | _held_out(corpus)).write(directory)
    return topic_sizes(directory)


def held_out_by_topic(directory: Path) -> dict[str, int]:
    """The held-out documents of every topic that `divide` found; empty where it did not."""
    manifest = read_manifest(directory)
    return {} if manifest is None else manifest.counts


def _held_out(corpus: SourceStore) -> Counter[str]:
    found: Counter[str] = Counter()
    for batch in corpus.read_all({SELECTION: ["split"], TOPICS: ["topic"]}):
        columns = (batch[f"{SELECTION}.split"].to_pylist(), batch[f"{TOPICS}.topic"].to_pylist())
        found.update(topic for split, topic in zip(*columns, strict=True) if split == HOLDOUT and topic is not None)
    return found


def topic_sizes(directory: Path) -> dict[str, int]:
    """The tokens of every topic that `divide` counted; empty where it did not."""
    return dict(read_json(directory / _NAMES, remake(directory))) if read_manifest(directory) is not None else {}


def topic_members(directory: Path, topic: str) -> npt.NDArray[np.uint32]:
    """The documents of a topic, by number, ascending."""
    number = list(topic_sizes(directory)).index(topic)
    return MappedArray(directory / f"{number:03d}" / _MEMBERS, remake(directory)).whole()
