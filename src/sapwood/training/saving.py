"""Writing checkpoints while training goes on, and keeping some of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_saver import save

from sapwood.corpus.disk import explain
from sapwood.device.ranks import A_DAY, Ranks
from sapwood.errors import SapwoodError
from sapwood.evaluation.result import read_evaluation
from sapwood.files import hash_file, remove_directory, sync_directory, write_json
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.recipe.check import members
from sapwood.recipe.units import Interval
from sapwood.runs.directory import RunDirectory
from sapwood.training.checkpoint import STATE, State, checkpoints, read_state
from sapwood.training.mirror import Mirror
from sapwood.training.resume import records_of
from sapwood.training.staging import Staging

FILE_BYTES = 1 << 28
"""How much of a rank's part goes into one file, which is put together in memory."""

T = TypeVar("T")


class Saver:
    """Saves the states of a run, one after the other, each written by all ranks together."""

    def __init__(self, recipe: Recipe, run: RunDirectory, ranks: Ranks) -> None:
        self._recipe = recipe
        self._run = run
        self._ranks = ranks
        # A group of its own: its messages must not mix with those of the steps meanwhile.
        self._group = dist.new_group(backend="gloo", timeout=A_DAY)
        # The device of a thread is the first GPU until it is set, and then every rank takes memory there.
        at = (torch.cuda.set_device, (ranks.device,)) if ranks.device.type == "cuda" else (None, ())
        self._thread = ThreadPoolExecutor(1, "checkpoint", *at)
        self._staging = Staging(ranks.device)
        self._writing: Future[None] | None = None
        mirror = recipe.training.checkpoints.mirror
        self._mirror = Mirror(mirror, run) if mirror and ranks.first else None

    def save(self, state: State, tensors: dict[str, torch.Tensor]) -> None:
        """Begins to save a state, when the one before is written. `tensors` are whole, or sharded over the ranks.

        On a CPU this returns when the state is on the disk, unless the recipe says otherwise. A state that cannot be
        written is none, with a message: the next one is another try.
        """
        self.settle()
        records = records_of(self._run) if self._ranks.first else {}
        if self._recipe.training.checkpoints.are_asynchronous(self._ranks.device.type):
            copies = self._staging.copy(tensors)
            self._writing = self._thread.submit(self._write, state, records, copies)
        else:
            self._writing = Future()
            try:
                self._write(state, records, tensors)
            except SapwoodError as error:
                self._writing.set_exception(error)
            else:
                self._writing.set_result(None)

    def finish(self) -> None:
        """Waits until everything is written. Raises SapwoodError where the last state could not be."""
        if self._writing is not None:
            self._writing.result()
        if self._mirror is not None:
            self._mirror.finish()

    def settle(self) -> None:
        """Waits until the last state is written, or is known not to be."""
        if self._writing is not None:
            try:
                self._writing.result()
            except SapwoodError as error:
                console.print(f"{error} Training goes on, and tries again at the next checkpoint.", style="yellow")

    def _write(self, state: State, records: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        self._staging.wait()
        path = self._run.checkpoints / state.name
        temporary = path.with_name(f".{state.name}.tmp")
        try:
            self._together(lambda: _prepare(temporary) if self._ranks.first else None)
            writer = HuggingFaceStorageWriter(str(temporary), _files(tensors, self._ranks.size), save_distributed=True)
            self._together(lambda: save(tensors, storage_writer=writer, process_group=self._group))
            mine = sorted(temporary.glob(f"shard-{self._ranks.rank + 1:05d}-*"))
            parts = self._together(lambda: {file.name: hash_file(file) for file in mine})
            hashes = {name: value for part in parts for name, value in part.items()}
            whole = {**asdict(state), "records": records, "hashes": hashes}
            self._together(lambda: self._complete(temporary, path, whole) if self._ranks.first else None)
        except SapwoodError as error:
            if self._ranks.first:
                shutil.rmtree(temporary, ignore_errors=True)
            raise SapwoodError(f"The state after step {state.step:,} was not saved in {path}: {error}") from error

    def _complete(self, temporary: Path, path: Path, whole: dict[str, Any]) -> None:
        write_json(temporary / STATE, whole, sealed=True)
        temporary.replace(path)
        sync_directory(path.parent)
        saved = checkpoints(self._run.checkpoints)
        keep = kept(self._recipe, self._run, saved)
        for old in saved:
            if old not in keep:
                remove_directory(old)
        if self._mirror is not None:
            self._mirror.copy(keep)

    def _together(self, part: Callable[[], T]) -> list[T]:
        """What every rank's part gives, on all ranks. Where one fails, all raise SapwoodError, and none is left."""
        answer, fault = None, ""
        try:
            answer = part()
        except CheckpointException as error:
            fault = "; ".join(sorted({_told(failure[0]) for failure in error.failures.values()}))
        except (OSError, SapwoodError) as error:
            fault = _told(error)
        answers: list[tuple[T, str]] = [(answer, fault)] * self._ranks.size  # type: ignore[list-item]
        if self._ranks.size > 1:
            dist.all_gather_object(answers, (answer, fault), group=self._group)
        faults = sorted({fault for _, fault in answers if fault})
        if faults:
            raise SapwoodError("; ".join(faults))
        return [answer for answer, _ in answers]


def kept(recipe: Recipe, run: RunDirectory, saved: Sequence[Path]) -> set[Path]:
    """Which of the checkpoints `saved`, oldest first, the recipe wants to keep."""
    settings = recipe.training.checkpoints
    keep = set(saved[-settings.keep :])
    if settings.keep_every is not None:
        keep |= _landmarks(saved, settings.keep_every, recipe.full_batch())
    if settings.best is not None:
        sources = members(recipe, settings.best.by)
        losses = {}
        for path in saved:
            measured = run.evaluation / f"{path.name}.json"
            if measured.exists():
                domains = read_evaluation(measured).domains
                losses[path] = sum(domains[source].bits_per_byte.value for source in sources) / len(sources)
        keep |= set(sorted(losses, key=lambda path: losses[path])[: settings.best.keep])
    return keep


def _landmarks(saved: Sequence[Path], every: Interval, batch_tokens: int) -> set[Path]:
    """The first checkpoint after every multiple of `every`."""
    found, last = set(), 0
    for path in saved:
        reached = read_state(path).tokens // every.tokens(batch_tokens)
        if reached > last:
            found.add(path)
            last = reached
    return found


def _told(error: BaseException) -> str:
    """What is said of an error, with what to do where the system raised it."""
    return explain(error) if isinstance(error, OSError) else str(error)


def _prepare(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def _files(tensors: dict[str, torch.Tensor], ranks: int) -> dict[str, int]:
    """The number of the file that each tensor goes into, from 1 on."""
    numbers, size, number = {}, 0, 1
    for name, tensor in tensors.items():
        bytes_of_rank = tensor.numel() * tensor.element_size() // ranks
        if size and size + bytes_of_rank > FILE_BYTES:
            size, number = 0, number + 1
        size += bytes_of_rank
        numbers[name] = number
    return numbers
