"""The texts that are scored: held-out documents of every source, the same ones for every model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset as ds

from sapwood.errors import SapwoodError


@dataclass(frozen=True, slots=True)
class HeldOutText:
    """The text of a held-out document, or its beginning."""

    id: str
    text: str

    @property
    def bytes(self) -> int:
        """Its length in UTF-8."""
        return len(self.text.encode())


def held_out_texts(corpus: Path, total_bytes: int, document_bytes: int | None) -> list[HeldOutText]:
    """Held-out documents from the prepared source in `corpus`, in the order of their ids, which are hashes.

    Takes whole documents, or their first `document_bytes` (cut between characters), until `total_bytes` are reached.
    Raises SapwoodError when the source holds none out.
    """
    table = ds.dataset(sorted(str(path) for path in corpus.glob("*.parquet")), format="parquet").to_table(
        columns=["id", "text"], filter=ds.field("split") == "holdout"
    )
    if not table.num_rows:
        raise SapwoodError(
            f"'{corpus.name}' has no held-out document to measure with. Raise holdout.share in the recipe, "
            "or give the source more documents."
        )
    chosen: list[HeldOutText] = []
    reached = 0
    for row in sorted(range(table.num_rows), key=table["id"].to_pylist().__getitem__):
        if reached >= total_bytes:
            break
        text = _beginning(table["text"][row].as_py(), document_bytes)
        chosen.append(HeldOutText(table["id"][row].as_py(), text))
        reached += chosen[-1].bytes
    return chosen


def _beginning(text: str, limit: int | None) -> str:
    """At most `limit` bytes of UTF-8 from the start of a text, never a part of a character."""
    return text if limit is None else text.encode()[:limit].decode(errors="ignore")
