"""The batches of coming steps, read while the model works on the one before."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from sapwood.device.ranks import Ranks
from sapwood.mixture.stream import Sequence as StreamSequence
from sapwood.mixture.stream import Stream
from sapwood.recipe.schema import Training
from sapwood.training.batch import Batch, empty_batch, make_batch

AHEAD = 2
"""How many steps are read ahead."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What goes through the model at once on this rank."""

    batch: Batch
    domains: torch.Tensor
    """The number of each row's domain [rows]; none where the rank has nothing to predict, and runs an empty batch along
    with the others."""
    counts: torch.Tensor
    """How many tokens of each row are predicted [rows], float64."""
    predicted: int
    """How many that are together."""

    @staticmethod
    def of(batch: Batch, domains: Sequence[int]) -> MicroBatch:
        """A batch whose rows are of the domains with these numbers."""
        predicted = batch.predicted
        counts = torch.tensor(predicted, dtype=torch.float64)
        return MicroBatch(batch, torch.tensor(domains, dtype=torch.int64), counts, sum(predicted))

    @staticmethod
    def empty(length: int) -> MicroBatch:
        """A sequence in which nothing is predicted."""
        none = torch.zeros(0, dtype=torch.int64)
        return MicroBatch(empty_batch(length), none, none.double(), 0)

    def pinned(self) -> MicroBatch:
        """The same in memory from which a GPU copies while the host goes on. From other memory, the host waits."""
        return replace(
            self, batch=self.batch.pinned(), domains=self.domains.pin_memory(), counts=self.counts.pin_memory()
        )

    def to(self, device: torch.device) -> MicroBatch:
        """The same on a device."""
        return replace(
            self,
            batch=self.batch.to(device),
            domains=self.domains.to(device, non_blocking=True),
            counts=self.counts.to(device, non_blocking=True),
        )


@dataclass(frozen=True, slots=True)
class StepInput:
    """A rank's part of one step."""

    positions: range
    """Of the whole batch, over all ranks."""
    micro_batches: tuple[MicroBatch, ...]
    """As many on every rank, unless documents have a row each."""
    digest: int
    """The sum of the digests of this rank's sequences."""
    waited: float = 0.0
    """Seconds that training waited for it."""

    @property
    def predicted(self) -> int:
        """How many tokens this rank predicts."""
        return sum(micro.predicted for micro in self.micro_batches)


class Loader:
    """Reads one step after the other in a thread of its own."""

    def __init__(
        self,
        stream: Stream,
        steps: Iterable[range],
        sequence_length: int,
        ranks: Ranks,
        settings: Training,
        domains: Sequence[str],
        *,
        by_document: bool = False,
    ) -> None:
        """Begins to read the batches at the positions of `steps`, whose sequences are of `domains`, numbered so.

        `by_document`, each document has a row of its own.
        """
        self._stream = stream
        self._numbers = {domain: number for number, domain in enumerate(domains)}
        self._length = sequence_length
        self._ranks = ranks
        self._settings = settings
        self._by_document = by_document
        self._ready: queue.Queue[StepInput | BaseException | None] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(list(steps),), name="loader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[StepInput]:
        """The steps in order. Raises what reading has raised."""
        while True:
            started = time.monotonic()
            item = self._ready.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield replace(item, waited=time.monotonic() - started)

    def close(self) -> None:
        """Ends reading."""
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._ready.get(timeout=0.01)
            except queue.Empty:
                continue

    def _read(self, steps: Sequence[range]) -> None:
        try:
            if self._ranks.device.type == "cuda":
                torch.cuda.set_device(self._ranks.device)  # of a thread; else memory is pinned by the first GPU
            for positions in steps:
                if self._closed.is_set():
                    return
                self._ready.put(self._step(positions))
            self._ready.put(None)
        except BaseException as error:  # for the one who waits
            self._ready.put(error)

    def _step(self, positions: range) -> StepInput:
        size = self._settings.micro_batch
        mine = [self._stream[position] for position in self._ranks.share(positions)]
        most = -(-len(positions) // self._ranks.size)
        parts: list[MicroBatch] = []
        for start in range(0, most, size):
            part = mine[start : start + size]
            if part:
                parts += self._micro_batches(part)
            else:
                parts.append(MicroBatch.empty(self._length))
        if self._ranks.device.type == "cuda":
            parts = [part.pinned() for part in parts]
        return StepInput(positions, tuple(parts), sum(sequence.digest for sequence in mine))

    def _micro_batches(self, part: Sequence[StreamSequence]) -> list[MicroBatch]:
        """Some sequences, in one micro-batch; or their documents, in as many as it takes to have no more tokens in any,
        padding among them."""
        batch = make_batch(part, isolate_documents=self._settings.isolate_documents)
        cut = [(batch, list(range(len(part))))]
        if self._by_document and batch.is_packed:
            cut = batch.by_document(batch.tokens.numel())
        return [MicroBatch.of(rows, [self._numbers[part[owner].domain] for owner in owners]) for rows, owners in cut]
