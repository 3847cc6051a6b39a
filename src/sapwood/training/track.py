"""Trackers: where the numbers of a run go besides `metrics.jsonl`. None of them ever stops a run, or slows it.

Each lives in a thread of its own, from opening to closing. What a tracker does not take in time, or fails to take, is
left out there; it is in `metrics.jsonl` all the same.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import orjson

from sapwood.errors import SapwoodError
from sapwood.files import read_json
from sapwood.mixture.measured import Losses
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.recipe.schema import Tracker
from sapwood.runs.directory import RunDirectory
from sapwood.training.trackers import Backend, Opening, open_backend, require_package

OPENING_SECONDS = 60.0
"""How long a run waits for its trackers before it begins. What is logged to one that is not open yet waits for it."""
CLOSING_SECONDS = 60.0
"""How long the end of training waits for all trackers."""
WAITING = 10_000
"""How many calls of `log` may wait for a tracker that is slow or out of reach. What comes then is left out."""
SECRET_LENGTH = 8
"""Shorter values in the environment are not taken for secrets: they may stand in any text by chance."""

Row = tuple[int, Mapping[str, float]]
"""A step and its values."""

_SECRET = re.compile("KEY|TOKEN|PASSWORD|SECRET")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s\"]+@")

_STEP_VALUES = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "gradient_norm": "train/gradient_norm",
    "tokens": "train/tokens",
    "tokens_per_second": "train/tokens_per_second",
    "utilisation": "train/mfu",
    "data_wait": "train/data_wait",
    "memory_bytes": "train/memory_bytes",
    "skipped": "train/skipped",
}


def step_values(record: Mapping[str, Any]) -> dict[str, float]:
    """The values of a step under the names that trackers know: `train/loss`, `train/loss/web-zh`, `train/mfu`.

    `record` has the fields of `metrics.StepMetrics`. `utilisation` is left out where it is None.
    """
    values = {name: float(record[field]) for field, name in _STEP_VALUES.items() if record[field] is not None}
    return values | {f"train/loss/{domain}": float(loss) for domain, loss in record["losses"].items()}


def measured_values(losses: Losses) -> dict[str, float]:
    """What was measured between rounds: `eval/zh` in bits per byte, and `eval/zh/improvement` since the base model:
    above zero is better."""
    levels = {f"eval/{name}": found.bits_per_byte for name, found in losses.items()}
    changes = {f"eval/{name}/improvement": found.since_base.value for name, found in losses.items() if found.since_base}
    return levels | changes


def suite_values(values: Mapping[str, float]) -> dict[str, float]:
    """What the live model made of suites, given by `suite/task`: `suites/small/sciq`, the metric that is reported."""
    return {f"suites/{name}": value for name, value in values.items()}


class Trackers:
    """Trackers that are open inside the context."""

    def __init__(self, recipe: Recipe, run: RunDirectory, resumed_from_step: int) -> None:
        self._begun = resumed_from_step > 0
        self._trackers = [
            _Tracker(kind, recipe, run.root / "trackers", resumed_from_step)
            for kind in dict.fromkeys(recipe.training.trackers)
        ]

    def __enter__(self) -> Trackers:
        for tracker in self._trackers:
            tracker.start()
        if not self._begun:
            self._require_opening()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close(failed=error is not None)
        for tracker in self._trackers:
            tracker.warn_of_failure()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Hands the values of a step to all trackers, and returns at once."""
        for tracker in self._trackers:
            tracker.put((step, values))

    def rewind(self, step: int) -> None:
        """Tells that the run went back to the end of `step`: later steps that a tracker has are not logged again."""
        for tracker in self._trackers:
            tracker.put(step)

    def _require_opening(self) -> None:
        until = time.monotonic() + OPENING_SECONDS
        for tracker in self._trackers:
            tracker.opened.wait(max(0.0, until - time.monotonic()))
            if tracker.failure is not None:
                self._close(failed=True)
                raise SapwoodError(
                    f"The tracker '{tracker.kind}' does not open: {tracker.failure}\nPut that right, or take it out of "
                    "training.trackers."
                )

    def _close(self, failed: bool) -> None:
        for tracker in self._trackers:
            tracker.finish(failed)
        until = time.monotonic() + CLOSING_SECONDS
        for tracker in self._trackers:
            tracker.join(max(0.0, until - time.monotonic()))
            if tracker.is_alive():
                tracker.warn("did not take everything in the time that it had at the end")


def open_trackers(recipe: Recipe, run: RunDirectory, resumed_from_step: int) -> Trackers:
    """The trackers that the recipe asks for, as a context inside which they are open. For the first rank alone.

    A run that goes on after `resumed_from_step` goes on in the trackers as well. Later steps that a tracker has from
    before the restart are not logged there again.

    Raises SapwoodError where a package is missing; and, on entering, where a tracker does not open when a run is begun.
    When a run goes on, that is only said.
    """
    for kind in recipe.training.trackers:
        try:
            require_package(kind)
        except ImportError as error:
            raise SapwoodError(
                f"The tracker '{kind}' needs a package that is not installed ({error}): pip install sapwood[{kind}]. "
                "Or take it out of training.trackers."
            ) from None
    return Trackers(recipe, run, resumed_from_step)


class _Tracker(threading.Thread):
    """One tracker at work."""

    def __init__(self, kind: Tracker, recipe: Recipe, directory: Path, resumed_from_step: int) -> None:
        super().__init__(name=f"tracker-{kind}", daemon=True)
        self.kind = kind
        self.opened = threading.Event()
        """Set when it is open, or will not be."""
        self.failure: str | None = None
        """Why it did not open."""
        self._recipe = recipe
        self._directory = directory
        self._mark = directory / f"{kind}.json"
        self._items: SimpleQueue[Row | int | None] = SimpleQueue()
        self._went_back_to = resumed_from_step
        self._before = 0
        """The last step that the tracker had when the run went back."""
        self._last = 0
        """The last step that it has."""
        self._failed = False
        self._warned = False

    def put(self, item: Row | int) -> None:
        """Hands over a step's values, or the step to which the run went back."""
        self.warn_of_failure()
        if self._items.qsize() >= WAITING:
            self.warn(f"is {WAITING:,} steps behind, and what it cannot take is left out")
        else:
            self._items.put(item)

    def finish(self, failed: bool) -> None:
        """Lets it take what is waiting, and close."""
        self._failed = failed
        self._items.put(None)

    def warn_of_failure(self) -> None:
        """Says, once, that it did not open."""
        if self.failure is not None:
            self.warn(f"does not open, and training goes on without it: {self.failure}")

    def warn(self, what: str) -> None:
        """Says, once, what is wrong."""
        if not self._warned:
            self._warned = True
            console.print(f"The tracker '{self.kind}' {what}", style="yellow")

    def run(self) -> None:
        """Opens the tracker, hands over what comes, and closes it."""
        try:
            backend = self._open()
        except Exception as error:  # a tracker's package may raise anything
            self.failure = _said(error)
            return
        finally:
            self.opened.set()
        while (item := self._items.get()) is not None:
            with self._going_on():
                self._take(backend, item)
        with self._going_on():
            backend.close(self._failed)

    def _open(self) -> Backend:
        self._directory.joinpath(self.kind).mkdir(parents=True, exist_ok=True)
        mark: dict[str, Any] = {"run": None, "step": 0}
        if self._mark.exists():
            mark = read_json(self._mark, f"Remove {self._mark}.")
        opening = Opening(
            name=self._recipe.name,
            config=orjson.loads(_without_secrets(self._recipe.model_dump_json())),
            directory=self._directory / self.kind,
            known=mark["run"],
        )
        backend = open_backend(self.kind, opening)
        if backend.id == mark["run"]:
            self._before = self._last = mark["step"]
        self._remember(backend)
        return backend

    def _take(self, backend: Backend, item: Row | int) -> None:
        if isinstance(item, int):
            self._went_back_to, self._before = item, self._last
            return
        step, values = item
        if self._went_back_to < step <= self._before:
            return
        backend.log(step, values)
        self._last = max(self._last, step)
        self._remember(backend)

    def _remember(self, backend: Backend) -> None:
        """Notes how far the tracker is. It need not outlast the machine, so nothing waits for the disk."""
        temporary = self._mark.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps({"run": backend.id, "step": self._last}))
        temporary.replace(self._mark)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a tracker's package may raise anything
            self.warn(f"fails, and training goes on: {_said(error)}")


def _said(error: Exception) -> str:
    return _without_secrets(str(error).strip() or type(error).__name__)


def _without_secrets(text: str) -> str:
    """Takes out passwords in addresses, and what the environment calls a key, a token, a password or a secret."""
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= SECRET_LENGTH:
            text = text.replace(value, "***")
    return _CREDENTIALS.sub("***@", text)
