"""A copy of a run's checkpoints and records elsewhere: another directory, or an address of fsspec such as s3://."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from glob import escape
from pathlib import Path

from sapwood.files import atomic_directory, atomic_file, locate
from sapwood.progress import console
from sapwood.runs.directory import RunDirectory
from sapwood.training.checkpoint import STATE, checkpoints, files_of

CHECKPOINTS = "checkpoints"


class Mirror:
    """The copy. What fails is told and tried again with the next checkpoint: a mirror never stops a run."""

    def __init__(self, address: str, run: RunDirectory) -> None:
        """The copy of `run` in a directory of its name below `address`."""
        self._files, root = locate(address)
        self._root = f"{root.rstrip('/')}/{run.root.name}"
        self._run = run
        self._thread = ThreadPoolExecutor(1, "mirror")
        self._copying: Future[None] | None = None

    def copy(self, keep: Collection[Path]) -> None:
        """Begins to copy these checkpoints and the records, and to remove what else was copied.

        While an earlier copy is at work, nothing: the next one has it all.
        """
        if self._copying is None or self._copying.done():
            self._copying = self._thread.submit(self._copy, sorted(keep))

    def finish(self) -> None:
        """Waits, and copies what has come since."""
        if self._copying is not None:
            self._copying.result()
        self._copy(checkpoints(self._run.checkpoints))

    def fetch(self) -> None:
        """Gets the newest checkpoint and the records back, where the run has no checkpoint of its own."""
        if checkpoints(self._run.checkpoints):
            return
        there = self._complete()
        if not there:
            return
        name = there[-1]
        console.print(f"Fetching {name} from {self._root}.")
        with atomic_directory(self._run.checkpoints / name) as directory:
            for remote in self._files.ls(f"{self._root}/{CHECKPOINTS}/{name}", detail=False):
                self._files.get_file(remote, str(directory / Path(remote).name))
        evaluations = self._files.find(self._place(self._run.evaluation))
        for remote in [*map(self._place, self._records()), *evaluations]:
            record = self._run.root / remote.removeprefix(f"{self._root}/")
            if not record.exists() and self._files.exists(remote):
                record.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(record) as temporary:
                    self._files.get_file(remote, str(temporary))

    def _copy(self, keep: Collection[Path]) -> None:
        try:
            there = self._complete()
            for path in keep:
                if path.name not in there:
                    for name in [*files_of(path), STATE]:  # what makes it complete comes last
                        self._put(path / name)
            evaluations = (path for path in sorted(self._run.evaluation.rglob("*")) if path.is_file())
            for record in [*self._records(), *evaluations]:
                if record.exists():
                    self._put(record)
            for name in there:
                if name not in {path.name for path in keep}:
                    directory = f"{self._root}/{CHECKPOINTS}/{name}"
                    self._files.rm_file(f"{directory}/{STATE}")
                    self._files.rm(directory, recursive=True)
        except Exception as error:  # of as many kinds as there are file systems
            console.print(f"The copy in {self._root} is not complete: {error}", style="yellow")

    def _complete(self) -> list[str]:
        """The names of the checkpoints there are, oldest first."""
        found = self._files.glob(f"{escape(self._root)}/{CHECKPOINTS}/step-*/{STATE}")
        return sorted(Path(path).parent.name for path in found)

    def _records(self) -> list[Path]:
        run = self._run
        return [run.recipe, run.plan, run.ledger, run.metrics, run.environment]

    def _place(self, path: Path) -> str:
        return f"{self._root}/{path.relative_to(self._run.root).as_posix()}"

    def _put(self, path: Path) -> None:
        self._files.makedirs(self._place(path.parent), exist_ok=True)
        self._files.put_file(str(path), self._place(path))
