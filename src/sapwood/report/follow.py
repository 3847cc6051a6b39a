"""A run that is followed while it trains, on this machine or behind an address that fsspec knows.

Nothing is written. Of files that grow, only what is new is fetched; files that are replaced are fetched again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sapwood.errors import SapwoodError
from sapwood.evaluation.result import Evaluation
from sapwood.files import locate, read_line, reading
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.plan import Plan
from sapwood.report.standing import Checkpoint, Standing
from sapwood.runs.metrics import StepMetrics

TAIL_BYTES = 1 << 20
"""So much of the end of `metrics.jsonl` is fetched when it is read for the first time: some thousands of steps."""
TAIL_LINES = 5000
"""So many of its last lines are kept."""
OVERLAP_BYTES = 128
"""So much of what was fetched before is fetched again, to see that the file was not replaced by another."""

_CHECKPOINT = re.compile(r"step-(\d+)")
_EVALUATION = re.compile(r"step-\d+\.json")

Record = TypeVar("Record")
Files = Mapping[str, Mapping[str, Any]]
"""What lies in a directory, by name, as fsspec describes it."""


class Lines(Generic[Record]):
    """The lines of a JSONL file to which another process appends, or which it replaces."""

    def __init__(
        self, system: AbstractFileSystem, path: str, parse: Callable[[dict[str, Any]], Record], *, tail: bool = False
    ) -> None:
        """Reads `path`, or only the `tail` of it; `parse` makes a record of what a line says."""
        self.records: list[Record] = []
        self.version = ""
        """Of the file as it was read last."""
        self._parse = parse
        self._system = system
        self._path = path
        self._tail = tail
        self._forget()

    def read(self, size: int, version: str) -> None:
        """Fetches what is new in the file. A line that is still being written waits.

        The file has `size` bytes now; `version` is something that changes when the file does.
        """
        if version != self.version:
            if size < self._stop or not self._fetch(size):
                self._forget()
                self._fetch(size)
            self.version = version

    def _forget(self) -> None:
        self.records = []
        self._stop = 0
        """The end of the last whole line, in bytes."""
        self._end = b""
        """The bytes before it."""

    def _fetch(self, size: int) -> bool:
        """Fetches from the last whole line to `size`. False where what is before it is not what it was."""
        cut = self._tail and self._stop == 0 and size > TAIL_BYTES
        start = size - TAIL_BYTES if cut else self._stop - len(self._end)
        content: bytes = self._system.cat_file(self._path, start=start, end=size) if size else b""
        if not content.startswith(self._end):
            return False
        new = content[len(self._end) :]
        if cut:
            new = new[new.find(b"\n") + 1 :]
        whole = new[: new.rfind(b"\n") + 1]
        with reading(Path(self._path), "`sapwood train` says what to do."):
            self.records += [self._parse(read_line(line)) for line in whole.splitlines() if line]
        if self._tail:
            del self.records[:-TAIL_LINES]
        self._stop = start + len(content) - len(new) + len(whole)
        self._end = (self._end + whole)[-OVERLAP_BYTES:]
        return True


class Follower:
    """Looks at a run again and again."""

    def __init__(self, address: str) -> None:
        """Follows the run in a directory, given by its path or an address such as `s3://bucket/runs/demo`.

        Raises SapwoodError where it cannot be reached, or there is no such directory.
        """
        self._address = address
        try:
            self._system, root = locate(address)
            there = self._system.isdir(root)
        except (ImportError, ValueError, OSError) as error:
            raise SapwoodError(f"Cannot open {address}: {error or type(error).__name__}") from None
        if not there:
            raise SapwoodError(f"There is no run in {address}. `sapwood run` or `sapwood prepare` begins one.")
        self.is_local = isinstance(self._system, LocalFileSystem)
        self._root = root.rstrip("/")
        self._lines = Lines[dict[str, Any]](self._system, f"{self._root}/ledger.jsonl", dict)
        self._ledger = ("", self._read_ledger())
        self._metrics = Lines(self._system, f"{self._root}/metrics.jsonl", StepMetrics.from_json, tail=True)
        self._parsed: dict[str, tuple[str, Any]] = {}
        self._checkpoint: Checkpoint | None = None

    def look(self) -> Standing:
        """What the run's files say now. Raises SapwoodError where they cannot be read."""
        try:
            return self._look()
        except Exception as error:  # every store has errors of its own
            raise SapwoodError(f"Cannot read {self._address}: {error or type(error).__name__}") from error

    def _look(self) -> Standing:
        files = self._list(self._root)
        recipe = self._parse("recipe.yaml", files, dict) or {}
        for lines, name in ((self._lines, "ledger.jsonl"), (self._metrics, "metrics.jsonl")):
            lines.read(files[name]["size"] if name in files else 0, str(files.get(name)))
        if self._ledger[0] != self._lines.version:
            self._ledger = (self._lines.version, self._read_ledger())
        return Standing(
            name=recipe.get("name", PurePosixPath(self._root).name),
            model=recipe.get("model", ""),
            margin=recipe.get("evaluation", {}).get("retention", {}).get("margin"),
            plan=self._parse("plan.json", files, Plan.from_json),
            ledger=self._ledger[1],
            steps=tuple(self._metrics.records),
            checkpoint=self._newest_checkpoint() if "checkpoints" in files else None,
            evaluations=self._evaluations() if "evaluation" in files else (),
            written=self._written("metrics.jsonl") if "metrics.jsonl" in files else None,
            now=time.time(),
        )

    def _list(self, directory: str) -> Files:
        self._system.invalidate_cache(directory)
        return {
            PurePosixPath(found["name"].rstrip("/")).name: found for found in self._system.ls(directory, detail=True)
        }

    def _read_ledger(self) -> Ledger:
        return Ledger.from_lines(self._lines.records, Path(self._root) / "ledger.jsonl")

    def _parse(self, name: str, files: Files, build: Callable[[Any], Record], folder: str = "") -> Record | None:
        """What a file says that is replaced as a whole; what it said before, where it is replaced just now."""
        if name not in files:
            return None
        place = f"{folder}{name}"
        version, found = self._parsed.get(place, ("", None))
        known: Record | None = found
        if version != str(files[name]):
            try:
                content = self._system.cat_file(f"{self._root}/{place}")
                said = read_line(content) if name.endswith(".json") else YAML(typ="safe").load(content)
                known = build(said)
            except (OSError, ValueError, YAMLError):
                return known
            self._parsed[place] = (str(files[name]), known)
        return known

    def _evaluations(self) -> tuple[Evaluation, ...]:
        """Those of the base model, of the last step measured, and of the adapted model, as far as they are there."""
        files = self._list(f"{self._root}/evaluation")
        between = sorted(name for name in files if _EVALUATION.fullmatch(name))[-1:]
        names = ("base.json", *between, "model.json")
        found = (self._parse(name, files, Evaluation.from_json, "evaluation/") for name in names)
        return tuple(evaluation for evaluation in found if evaluation is not None)

    def _newest_checkpoint(self) -> Checkpoint | None:
        found = [match for name in self._list(f"{self._root}/checkpoints") if (match := _CHECKPOINT.fullmatch(name))]
        newest = max(found, key=lambda match: int(match[1]), default=None)
        if newest is None:
            return None
        if self._checkpoint is None or self._checkpoint.step != int(newest[1]):
            self._checkpoint = Checkpoint(int(newest[1]), self._written(f"checkpoints/{newest[0]}/state.json"))
        return self._checkpoint

    def _written(self, name: str) -> float | None:
        """When a file was written, in seconds since 1970; None where its store does not say."""
        try:
            written: datetime = self._system.modified(f"{self._root}/{name}")
        except (NotImplementedError, FileNotFoundError):
            return None
        return (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
