"""Looks for benchmark items in documents, with evidence for every find.

Texts are compared as sequences of words, or of single Han characters (`ngrams`). What a benchmark item says (its
question, its passage, its solution) counts as leaked when one place in the document holds at least a certain share of
its n-grams. Asking for a share of the
item in one place, and not for a single n-gram, is what keeps phrases that everybody uses from counting as leaks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import xxhash
from datatrove.data import Document

from sapwood.corpus.annotate import Step
from sapwood.corpus.block import Annotator
from sapwood.corpus.formats.content import read_blocks
from sapwood.corpus.formats.row import BrokenFileError
from sapwood.corpus.inputs import list_files, open_file, require_unchanged, take_fingerprints
from sapwood.corpus.ngrams import Hashes, ngram_hashes, tokenise
from sapwood.corpus.quarantine import set_aside
from sapwood.corpus.store import CONTAMINATION
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Decontamination

COMMON_ITEMS = 4
"""An n-gram that stands in more items than these belongs to none of them (YuLan-Mini, arXiv 2412.17743)."""
REMAINDER_CHARACTERS = 100
"""A document of which less is left after cutting is dropped."""
EXCERPT_CHARACTERS = 300

_FILTER_MASK = np.uint64((1 << 23) - 1)
_STRUCT = [("start", pa.int64()), ("end", pa.int64())]
_HIT = [("benchmark", pa.string()), ("item", pa.int64()), ("overlap", pa.float32()), *_STRUCT, ("excerpt", pa.string())]


class Item(NamedTuple):
    """A benchmark item."""

    benchmark: str
    """The name of its file, without endings."""
    number: int
    """Its row in the file, counted from 0."""
    texts: tuple[str, ...]
    """Every text in it."""


class Hit(NamedTuple):
    """A benchmark item that a document holds."""

    benchmark: str
    item: int
    overlap: float
    """The share of the n-grams of one of the item's texts that stand in one place of the document."""
    start: int
    """Where that place begins, in characters."""
    end: int


def load_items(patterns: Sequence[str]) -> list[Item]:
    """The items in JSONL files (plain or compressed), given as paths, globs or URLs.

    Raises SapwoodError where a pattern matches nothing and where a line is no JSON object.
    """
    items = []
    for name, content in _files(patterns):
        for number, line in enumerate(content.split(b"\n")):
            if line.strip():
                items.append(Item(name, number, tuple(texts_of(_parse(line, name, number)))))
    return items


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


@dataclass(frozen=True, slots=True)
class BenchmarkIndex:
    """The n-grams of benchmark items, and which text of which item each belongs to."""

    ngram: int
    grams: Hashes
    """Hashes of n-grams, sorted, each once."""
    offsets: npt.NDArray[np.int64]
    """Where the owners of each n-gram begin in `owners`, `[grams + 1]`."""
    owners: npt.NDArray[np.int32]
    """Numbers of texts."""
    sizes: npt.NDArray[np.int32]
    """How many different n-grams each text has that count."""
    filter: npt.NDArray[np.bool_]
    """Whether any n-gram has a hash with these low bits."""
    items: tuple[tuple[str, int], ...]
    """The benchmark and the number of the item that each text belongs to."""

    @staticmethod
    def build(items: Iterable[Item], ngram: int) -> BenchmarkIndex:
        """A text with fewer than `ngram` n-grams is no evidence by itself: those of an item count as one, in order.

        An item that is shorter than that as a whole cannot be found.
        """
        owners: list[tuple[str, int]] = []
        found: list[Hashes] = []
        numbers: list[npt.NDArray[np.int32]] = []
        items_of: Counter[int] = Counter()
        for item in items:
            texts = [tokenise(text).hashes for text in item.texts]
            long = [tokens for tokens in texts if len(tokens) >= 2 * ngram - 1]
            short = [tokens for tokens in texts if len(tokens) < 2 * ngram - 1]
            together = np.concatenate([np.empty(0, np.uint64), *short])
            parts = [*long, together] if len(together) >= 2 * ngram - 1 else long
            grams = [np.unique(ngram_hashes(part, ngram)) for part in parts]
            items_of.update({gram for part in grams for gram in part.tolist()})
            for part in grams:
                if len(part):
                    numbers.append(np.full(len(part), len(owners), np.int32))
                    owners.append((item.benchmark, item.number))
                    found.append(part)
        common = np.array(sorted(gram for gram, count in items_of.items() if count > COMMON_ITEMS), np.uint64)
        every = np.concatenate([np.empty(0, np.uint64), *found])
        rare = ~np.isin(every, common)
        every, owner = every[rare], np.concatenate([np.empty(0, np.int32), *numbers])[rare]
        order = np.argsort(every, kind="stable")
        unique, starts = np.unique(every[order], return_index=True)
        return BenchmarkIndex(
            ngram=ngram,
            grams=unique,
            offsets=np.append(starts, len(order)).astype(np.int64),
            owners=owner[order],
            sizes=np.bincount(owner, minlength=len(owners)).astype(np.int32),
            filter=_filter(unique),
            items=tuple(owners),
        )

    def find(self, text: str, overlap: float) -> list[Hit]:
        """The items of which the text holds at least the share `overlap` in one place, in the order of the benchmarks.

        Of an item of which several texts are held, the one with the greatest share is named.
        """
        if not len(self.grams):
            return []
        tokens = tokenise(text)
        hashes = ngram_hashes(tokens.hashes, self.ngram)
        # Nearly all n-grams of nearly all texts are in no benchmark, which the filter sees in one look.
        positions = np.flatnonzero(self.filter[(hashes & _FILTER_MASK).astype(np.int64)])
        places = np.minimum(np.searchsorted(self.grams, hashes[positions]), len(self.grams) - 1)
        held = self.grams[places] == hashes[positions]
        positions, places = positions[held], places[held]
        if not len(positions):
            return []
        found: dict[tuple[str, int], tuple[float, int, int]] = {}
        for owner, at, grams in self._by_text(positions, places):
            share, first, last = _densest(at, grams, self.ngram, int(self.sizes[owner]))
            if share >= overlap and share > found.get(self.items[owner], (0.0,))[0]:
                found[self.items[owner]] = (share, first, last)
        return [
            Hit(*item, round(share, 4), int(tokens.starts[first]), int(tokens.ends[last + self.ngram - 1]))
            for item, (share, first, last) in sorted(found.items())
        ]

    def _by_text(
        self, positions: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """For every text of an item of which the document holds n-grams: their positions, ascending, and which."""
        counts = self.offsets[places + 1] - self.offsets[places]
        repeated = np.repeat(np.arange(len(places)), counts)
        inside = np.arange(len(repeated)) - np.repeat(np.cumsum(counts) - counts, counts)
        owners = self.owners[self.offsets[places][repeated] + inside]
        order = np.argsort(owners, kind="stable")
        edges = np.flatnonzero(np.diff(owners[order])) + 1
        for part in np.split(order, edges):
            yield int(owners[part[0]]), positions[repeated[part]], places[repeated[part]]


def find_leaks(text: str, index: BenchmarkIndex, overlap: float) -> list[Hit]:
    """The benchmark items that a text holds."""
    return index.find(text, overlap)


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
            set_aside(document, reason_of([hit.benchmark for hit in hits]))


def contamination_step(settings: Decontamination) -> Step:
    """The step that looks for the benchmarks of the recipe, in documents of any source. Reads their files."""
    files = list_files("decontamination", settings.benchmarks)
    taken = take_fingerprints("decontamination", files, {})
    identity = benchmark_fingerprint(settings.benchmarks)
    index = BenchmarkIndex.build(load_items(settings.benchmarks), settings.ngram)
    require_unchanged("decontamination", files, taken)
    return Step(
        name=CONTAMINATION,
        annotator=ContaminationCheck(index, settings.overlap, cut=settings.action == "cut"),
        settings={
            "benchmarks": identity,
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


def _filter(grams: Hashes) -> npt.NDArray[np.bool_]:
    found = np.zeros(int(_FILTER_MASK) + 1, bool)
    found[(grams & _FILTER_MASK).astype(np.int64)] = True
    return found


def _densest(
    positions: npt.NDArray[np.int64], grams: npt.NDArray[np.int64], ngram: int, size: int
) -> tuple[float, int, int]:
    """The place that holds most of a text: the share of its n-grams, and the first and the last of their positions.

    N-grams are in one place as long as no more than two n-grams' length lies between them and the next.
    """
    best = (0.0, 0, 0)
    for part in np.split(np.arange(len(positions)), np.flatnonzero(np.diff(positions) > 2 * ngram) + 1):
        share = len(np.unique(grams[part])) / size
        if share > best[0]:
            best = (share, int(positions[part[0]]), int(positions[part[-1]]))
    return best
