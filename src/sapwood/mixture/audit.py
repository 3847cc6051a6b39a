"""Looking things up in a run that was trained: which documents a step saw, which steps saw a document, and whether the
stream that the ledger describes is the one that was trained on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sapwood.backbone.encode import Encoder
from sapwood.corpus.store import DOCUMENTS, ROW_GROUP, TOPICS, SourceStore, open_shard, read_group
from sapwood.errors import SapwoodError
from sapwood.mixture.stream import Stream, digest
from sapwood.mixture.weights import source_of
from sapwood.runs.metrics import StepMetrics
from sapwood.tokens.store import TokenStore

WINDOW = 50
"""A step is compared with so many before it."""
BEGINNING = 48
"""So many tokens of a document are shown."""


@dataclass(frozen=True, slots=True)
class Use:
    """A piece of a document in a sequence that was trained on."""

    step: int
    position: int
    """Of the sequence, in the run."""
    domain: str
    document: int
    """Its number in the source's token store."""
    start: int
    """The first token, counted inside the document."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a document."""

    id: str
    origin: str
    url: str | None
    topic: str | None
    beginning: str


@dataclass(frozen=True, slots=True)
class Spike:
    """A step whose loss stands out."""

    step: int
    loss: float
    usual: float
    """The median loss of the steps before it."""
    deviations: float
    """How many median absolute deviations it lies above that."""


def positions_of(steps: Sequence[StepMetrics], step: int) -> range:
    """The positions of a step. Raises SapwoodError where it was not trained, or is no longer logged."""
    numbers = [line.step for line in steps]
    if step not in numbers:
        last = f"the last one is {numbers[-1]}" if numbers else "nothing was trained yet"
        raise SapwoodError(f"There is no step {step} in the log: {last}.")
    place = numbers.index(step)
    return range(steps[place - 1].position if place else 0, steps[place].position)


def documents_of(stream: Stream, step: int, positions: Iterable[int]) -> Iterator[Use]:
    """The pieces of documents at some positions of a step, in order."""
    for position in positions:
        sequence = stream[position]
        for span in sequence.spans:
            yield Use(step, position, sequence.domain, span.document, span.start, span.length)


def uses_of(stream: Stream, steps: Sequence[StepMetrics], document_id: str) -> list[Use]:
    """Where a document was trained on, in the order of training. `document_id` may be the beginning of its id.

    Raises SapwoodError where no source trains on it, or several ids begin so.
    """
    ends = np.array([line.position for line in steps])
    trained = int(ends[-1]) if len(ends) else 0
    rounds = [entry for entry in stream.ledger.rounds if entry.start < trained]
    reached = rounds[-1].consumed_until(rounds[-1].stop) if rounds else {}
    stores = _stores(stream)
    numbers = {source: store.find(document_id) for source, store in stores.items()}
    ids = {stores[source].document_id(number) for source, found in numbers.items() for number in found}
    if len(ids) > 1:
        listed = ", ".join(sorted(ids)[:4])
        raise SapwoodError(f"{len(ids)} ids begin with {document_id}: write more of one. They begin with {listed}.")
    found: list[Use] = []
    known = False
    for domain, epochs in stream.epochs.items():
        number = next(iter(numbers[source_of(domain)]), None)
        if number is None or not epochs.holds(number):
            continue
        known = True
        length = epochs.store.length(number)
        for turn in range(-(-reached.get(domain, 0) // epochs.tokens)):
            begin = turn * epochs.tokens + stream.place(domain, turn, number)
            for entry in rounds:
                for position in stream.positions(entry, domain, begin, begin + length):
                    if position < trained:
                        step = steps[int(np.searchsorted(ends, position, side="right"))].step
                        pieces = documents_of(stream, step, [position])
                        found += [use for use in pieces if use.document == number]
    if not known:
        raise SapwoodError(
            f"No source trains on a document with the id {document_id}. It may be held out or filtered: the columns "
            "beside the documents in corpus/ say so."
        )
    return sorted(set(found), key=lambda use: (use.position, use.start))


def spikes(steps: Sequence[StepMetrics], count: int) -> list[Spike]:
    """The steps whose loss lies furthest above that of the steps before, in median absolute deviations."""
    steps = [line for line in steps if math.isfinite(line.loss)]
    found = []
    for place in range(3, len(steps)):
        before = [line.loss for line in steps[max(0, place - WINDOW) : place]]
        usual = statistics.median(before)
        spread = statistics.median(abs(loss - usual) for loss in before) or 1e-9
        found.append(Spike(steps[place].step, steps[place].loss, usual, (steps[place].loss - usual) / spread))
    return sorted(found, key=lambda spike: -spike.deviations)[:count]


def look_up(
    corpora: Callable[[str], SourceStore], stream: Stream, uses: Iterable[Use], encoder: Encoder
) -> dict[tuple[str, int], Known]:
    """What is known of the documents of some uses, by source and number.

    Their texts are not read, which would cost a row group for each; how they begin is decoded from their tokens.
    """
    stores = _stores(stream)
    wanted: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
    for domain, document in sorted({(use.domain, use.document) for use in uses}):
        shard, row = stores[source_of(domain)].origin(document)
        wanted.setdefault((source_of(domain), shard, row // ROW_GROUP), []).append((document, row % ROW_GROUP))
    found = {}
    for (source, shard, group), rows in wanted.items():
        corpus, store = corpora(source), stores[source]
        columns = _read_group(corpus, DOCUMENTS, shard, group, ["origin", "url"])
        if corpus.has(TOPICS):
            columns |= _read_group(corpus, TOPICS, shard, group, ["topic"])
        for document, row in rows:
            known = {name: column[row].as_py() for name, column in columns.items()}
            found[source, document] = Known(
                id=store.document_id(document),
                origin=known["origin"],
                url=known["url"],
                topic=known.get("topic"),
                beginning=_beginning(store, document, encoder),
            )
    return found


def _stores(stream: Stream) -> dict[str, TokenStore]:
    """The token stores by source; the topics of a source share one."""
    return {source_of(domain): epochs.store for domain, epochs in stream.epochs.items()}


def _read_group(corpus: SourceStore, step: str, shard: str, group: int, names: list[str]) -> dict[str, Any]:
    path = corpus.step(step) / f"{shard}.parquet"
    with open_shard(path) as file:
        table = read_group(file, path, group, names)
    return {name: table[name] for name in names}


def _beginning(store: TokenStore, document: int, encoder: Encoder) -> str:
    ids = np.empty(min(BEGINNING, store.length(document) - 1), np.int64)  # without the end-of-text token
    store.copy(document, 0, ids)
    return " ".join(encoder.decode(ids.tolist()).rstrip("\ufffd").split())


def replay(stream: Stream, steps: Sequence[StepMetrics], advance: Callable[[int], None]) -> None:
    """Reads everything that was trained on once more, and compares its digest with the log's.

    `advance` is told how many sequences were read. Raises SapwoodError at the first step that is not what was trained.
    """
    read = 0
    for line in steps:
        positions = range(read, line.position)
        again = digest(sum(stream[position].digest for position in positions))
        if again != line.digest:
            raise SapwoodError(
                f"Step {line.step} (sequences {positions.start} to {positions.stop - 1}) is not what was trained on: "
                f"its digest was {line.digest} and is {again}. Documents, their order or the ledger were changed."
            )
        read = line.position
        advance(len(positions))
