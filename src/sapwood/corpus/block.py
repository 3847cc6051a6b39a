"""What all steps through which documents pass have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep


class Block(PipelineStep):  # type: ignore[misc]
    """A datatrove step that keeps three promises, on which exact accounts and resumption rest.

    It yields every document that it receives, in the order received: what is not wanted is marked with
    `quarantine.set_aside` and passed on, and what was set aside before is passed on untouched. What it adds to a
    document follows from the document and the block's settings alone. New columns are declared in `columns`.
    """

    type = "Sapwood"
    columns: ClassVar[Mapping[str, Any]] = {}
    """Columns that the block adds: a name among the document's metadata, and its pyarrow type."""

    @property
    def name(self) -> str:
        """How datatrove's logs call the block."""
        return type(self).__name__

    @abstractmethod
    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Documents in, documents out; `rank` is the number of the task among `world_size`."""
