"""Blocks for the tests of engines, importable by the processes that these start."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from datatrove.data import Document

from sapwood.corpus.block import Annotator, Block, filter_out
from sapwood.corpus.engine import run
from sapwood.errors import SapwoodError
from sapwood.files import write_atomic
from sapwood.recipe.data import Engine

ITEMS = 12


class WriteItems(Block):
    """Writes a file for each item of a task, unless it is there, and meets `trouble` at some items, the first time."""

    def __init__(self, directory: Path, trouble: Mapping[int, str] | None = None, size: int = 100) -> None:
        super().__init__()
        self.directory = directory
        self.trouble = dict(trouble or {})
        self.size = size

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for item in range(ITEMS)[rank::world_size]:
            path = self.directory / f"{item}.txt"
            if path.exists():
                continue
            met = self.directory / f"met-{item}"
            if item in self.trouble and not met.exists():
                met.write_text(str(os.getpid()))
                self._meet(self.trouble[item])
            write_atomic(path, f"{item} " * self.size)
            yield Document(text=str(item), id=str(item))

    def _meet(self, trouble: str) -> None:
        if trouble == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif trouble == "exit":
            os._exit(3)
        elif trouble == "hang":
            time.sleep(600)
        elif trouble == "refuse":
            raise SapwoodError("the source says: no")
        elif trouble == "memory":
            raise MemoryError
        else:
            raise LookupError(trouble)


class Shorten(Annotator):
    """Says how long a text is, and drops short ones."""

    columns: ClassVar[Mapping[str, Any]] = {"length": pa.int64()}

    def annotate(self, document: Document) -> None:
        document.metadata["length"] = len(document.text)
        if len(document.text) < 30:
            filter_out(document, "too short")


def run_items(block: Block, logs: Path, engine: Engine, tasks: int = ITEMS) -> None:
    """Runs the block as a step with much work would be run."""
    run([block], tasks=tasks, logs=logs, engine=engine, title="web: items", total=10**9, reached=lambda: 0)


def items(directory: Path) -> dict[str, bytes]:
    """The files that `WriteItems` wrote, by name, and all else that should not be there.

    A killed worker may leave a temporary file, which whoever runs the step again removes (`manifest.begin`).
    """
    files = (path for path in directory.iterdir() if path.is_file() and path.suffix != ".tmp")
    return {path.name: path.read_bytes() for path in files if path.name[:4] != "met-"}


def written() -> dict[str, bytes]:
    """What `items` gives when all of them are there."""
    return {f"{item}.txt": (f"{item} " * 100).encode() for item in range(ITEMS)}
