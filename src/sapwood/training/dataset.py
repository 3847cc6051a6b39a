"""The decided stream as a dataset of torch, for trainers other than ours.

What a consumer sees: positions in their order. Rank `r` of `R` gets every R-th of them, beginning with `r`, so that the
n-th items of all ranks together are R positions that follow each other. Of a rank's items, the workers of a DataLoader
take turns by batches, as the DataLoader does; so its batches are the same for any number of workers, as long as the
dataset is told its batch size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from sapwood.backbone.traits import Way
from sapwood.errors import SapwoodError
from sapwood.mixture.decided import RUNS, DecidedRun
from sapwood.mixture.measured import Losses
from sapwood.mixture.stream import Sequence
from sapwood.training.batch import make_batch
from sapwood.training.probe import isolation_elsewhere

Item = dict[str, torch.Tensor]
"""`input_ids`, `labels` and `position_ids`, int64 [sequence_length] each, as models of transformers take them."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a rank, or one of its workers, has come."""

    start: int
    """The position from which on the stream is shared out."""
    taken: int = 0
    """Items that were taken since, by this rank or worker."""


class StreamDataset(IterableDataset[Item]):
    """The sequences of a run, in the order in which `sapwood train` would train on them.

    Every iteration begins at the same place: the beginning of the run, or where `seek`, `load_state_dict` or `report`
    has moved it. Any place is reached in constant time. Labels are -100 where nothing is to be predicted: at the first
    token of a document, if the recipe isolates documents; then `position_ids` begin again with each.

    Any number of processes may open the same run.
    """

    def __init__(
        self,
        run_or_recipe: str | Path,
        rank: int = 0,
        world_size: int = 1,
        *,
        batch_size: int = 1,
        overrides: Iterable[str] = (),
        runs: str | Path = RUNS,
    ) -> None:
        """Opens a run directory, or the run of a recipe in `runs`, and decides the rounds that depend on no losses.

        `batch_size` is that of the DataLoader, and matters where that has more than one worker. `overrides` are fields
        of the recipe to set. Raises SapwoodError where sources are not prepared, or rank and world_size cannot be.
        """
        super().__init__()
        for name, number, least in (("world_size", world_size, 1), ("rank", rank, 0), ("batch_size", batch_size, 1)):
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise SapwoodError(f"{name} is {number!r}; write a whole number from {least} on.")
        if rank >= world_size:
            raise SapwoodError(f"rank is {rank}, and of {world_size} ranks the last is {world_size - 1}.")
        self.rank = rank
        self.world_size = world_size
        self.batch_size = batch_size
        self._run: DecidedRun | None = DecidedRun.open(Path(run_or_recipe), overrides, Path(runs))
        self._directory = self._run.run.root
        self._stop = self._run.ledger.decided
        self._histories: dict[int, str] = {}
        self._begin = self._now = Place(0)
        self._epoch: int | None = None
        self._over = False

    def __getstate__(self) -> dict[str, Any]:
        """What a worker needs that is started, not forked; it opens the files again."""
        return {**self.__dict__, "_run": None}

    @property
    def run(self) -> DecidedRun:
        """The run: its recipe, plan, ledger and stream."""
        if self._run is None:
            self._run = DecidedRun.open(self._directory)
        return self._run

    @property
    def decided(self) -> int:
        """The position at which iterating ends: as many sequences are decided."""
        return self._stop

    @property
    def planned(self) -> int:
        """Sequences in the whole run, over all ranks, unless a gate ends a stage early."""
        return self.run.plan.sequences

    @property
    def finished(self) -> bool:
        """Whether the run has no rounds beyond those that are decided."""
        return self.run.is_over and self._stop == self.run.ledger.decided

    @property
    def isolation(self) -> Way | None:
        """How the recipe's model keeps the documents of an item apart in a trainer of another hand.

        `positions`: by `position_ids`, without an attention mask or a cache. `rows`: by one document a row, since it
        looks at no positions; cut items where `position_ids` begin again, and pad on the right. None where the recipe
        does not isolate documents, and where nothing keeps them apart.

        It is observed once for a kind of model, which takes seconds. Raises SapwoodError where the model is not on this
        machine.
        """
        return isolation_elsewhere(self.run.recipe)

    def __iter__(self) -> Iterator[Item]:
        """The items of this rank, or of this worker of it."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        self._now = self._begin
        return self._items(number, workers)

    def _items(self, number: int, workers: int) -> Iterator[Item]:
        run, now, current = self.run, self._begin, None
        isolate = run.recipe.training.isolate_documents
        while not self._over:
            position = self._position(now, number, workers)
            if position >= self._stop:
                if workers == 1:
                    self._now = Place(self._stop)  # on every rank, where one had a sequence less than another
                return
            entry = run.ledger.at(position)
            if entry is not None and entry is not current:
                current = entry
                run.make_epochs(entry)
            item = _item(run.stream[position], isolate_documents=isolate)
            now = Place(now.start, now.taken + 1)
            self._now = now
            yield item

    def _position(self, place: Place, number: int, workers: int) -> int:
        """The position of the next item: batches of a rank's items go to its workers in turn."""
        batch, inside = divmod(place.taken, self.batch_size)
        return place.start + ((batch * workers + number) * self.batch_size + inside) * self.world_size + self.rank

    def seek(self, position: int) -> None:
        """Lets the next iteration begin at `position`, counted in sequences of all ranks from the run's beginning.

        A trainer that has done `steps` steps of `size` sequences, over all ranks, is at `steps * size`. Raises
        SapwoodError where no round is decided.
        """
        if not 0 <= position <= self._stop:
            raise SapwoodError(f"Position {position} is outside what is decided: 0 to {self._stop} sequences.")
        self._begin_at(Place(position))

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, as JSON: what was taken last is done, the rest is to come.

        Without workers it is the same on all ranks that have taken equally many items, and fits any number of ranks. In
        a worker it is that worker's, as StatefulDataLoader keeps it.
        """
        worker = get_worker_info()
        workers = 1 if worker is None else worker.num_workers
        place = self._now
        if workers == 1:
            place = Place(min(place.start + place.taken * self.world_size, self._stop))
        reached = place.start + place.taken * workers * self.world_size
        rounds = sum(entry.start < reached for entry in self.run.ledger.rounds)
        return {
            "run": self._history(rounds),
            "rounds": rounds,
            "position": place.start,
            "taken": place.taken,
            "workers": workers,
            "batch_size": self.batch_size,
            "world_size": self.world_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Lets the next iteration go on where `state_dict` was called.

        Raises SapwoodError for a state of another run, or of a worker in other surroundings.
        """
        try:
            run, rounds = state["run"], int(state["rounds"])
            place = Place(int(state["position"]), int(state["taken"]))
            shape = tuple(int(state[name]) for name in ("workers", "batch_size", "world_size"))
        except (KeyError, TypeError, ValueError):
            raise SapwoodError(f"This is not the state of a stream: {str(state)[:200]}") from None
        if rounds > len(self.run.ledger.rounds) or run != self._history(rounds):
            raise SapwoodError(
                f"The state at position {place.start} is that of another run than {self._directory}, or its sources or "
                "mixture have changed since. Open the run that it was made with."
            )
        worker = get_worker_info()
        here = (1 if worker is None else worker.num_workers, self.batch_size, self.world_size)
        if place.taken and shape != here:
            raise SapwoodError(
                "The state is that of one of {} workers with batches of {} on {} ranks, and here are {}, {} and {}. "
                "Keep these, or `seek` the position.".format(*shape, *here)
            )
        self.seek(place.start)
        self._begin_at(place)

    def set_epoch(self, epoch: int) -> None:
        """Called by trainers that begin another epoch where an iteration ends. A stream has one: the next is empty.

        So a trainer that was told more steps than there are sequences for stops, and repeats nothing.
        """
        if self._epoch is None:
            self._epoch = epoch
        self._over = epoch > self._epoch

    def report(self, losses: Losses) -> bool:
        """Decides the next round by what was measured after the last one, and says whether there is one.

        Then iterating begins where it ended before. `losses` are, by domain, source and group (`Measured`), those of
        the model as it is now; before the first round, those of the base model. Every rank reports; the first to do so
        decides, and the others follow. Iterators that are at work, with their workers, do not see the new round.

        Raises SapwoodError where losses are missing that the stage looks at.
        """
        if not self.finished:
            self.run.decide(losses, self._stop)
        self._begin_at(Place(self._stop))
        self._stop = self.run.ledger.decided
        return self._stop > self._begin.start

    def _begin_at(self, place: Place) -> None:
        self._begin = self._now = place
        self._epoch, self._over = None, False

    def _history(self, rounds: int) -> str:
        if rounds not in self._histories:
            self._histories[rounds] = self.run.history(rounds)
        return self._histories[rounds]


def _item(sequence: Sequence, *, isolate_documents: bool) -> Item:
    batch = make_batch([sequence], isolate_documents=isolate_documents)
    return {"input_ids": batch.tokens[0], "labels": batch.labels[0], "position_ids": batch.positions[0]}
