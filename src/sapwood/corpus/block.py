"""What all steps through which documents pass have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from sapwood.corpus.quarantine import is_filtered


class Block(PipelineStep):  # type: ignore[misc]
    """A datatrove step that keeps three promises, on which exact accounts and resumption rest.

    It yields every document that it receives, in the order received: what is not wanted is marked with
    `quarantine.filter_out` and passed on, and what was filtered before is passed on untouched. What it does to a
    document follows from the document and the block's settings alone.
    """

    type = "Sapwood"

    @property
    def name(self) -> str:
        """How datatrove's logs call the block."""
        return type(self).__name__

    @abstractmethod
    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Documents in, documents out; `rank` is the number of the task among `world_size`."""


class Annotator(Block):
    """A block that looks at one document at a time, says something about it in columns, and may set it aside."""

    columns: ClassVar[Mapping[str, Any]] = {}
    """What it says: names among the document's metadata, and their pyarrow types. Null for documents that were set
    aside before."""

    @abstractmethod
    def annotate(self, document: Document) -> None:
        """Writes the columns into `document.metadata`, and calls `filter_out` if the document is not wanted."""

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data or ():
            if not is_filtered(document):
                self.annotate(document)
            yield document
