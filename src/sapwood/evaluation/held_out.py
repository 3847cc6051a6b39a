"""The texts that are scored: held-out documents of every source, the same ones for every model."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sapwood.corpus.selection import HOLDOUT
from sapwood.corpus.store import DOCUMENTS, SELECTION, TOPICS, SourceStore
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


def held_out_texts(
    store: SourceStore, total_bytes: int, document_bytes: int | None, *, by_topic: bool
) -> dict[str, list[HeldOutText]]:
    """Held-out documents of a prepared source, in the order of their ids, which are hashes, under the source's name.

    Takes whole documents, or their first `document_bytes` (cut between characters), until `total_bytes` are reached.
    With `by_topic` there are those of every topic beside them, under `SOURCE/TOPIC`; every topic gets the same part of
    `total_bytes`, so that rare ones are measured as well as common ones, and topics without any are left out.

    Raises SapwoodError when the source holds none out.
    """
    chosen: dict[str, list[HeldOutText]] = {store.name: []}
    columns = {DOCUMENTS: ["id", "text"], SELECTION: ["split"], **({TOPICS: ["topic"]} if by_topic else {})}
    for rows in store.read_all(columns):
        table = pa.table(rows)
        table = table.filter(pc.equal(table[f"{SELECTION}.split"], HOLDOUT))
        found = zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
        texts = [HeldOutText(name, _beginning(text, document_bytes)) for name, text in found]
        groups = {store.name: texts}
        for text, topic in zip(texts, table[f"{TOPICS}.topic"].to_pylist() if by_topic else (), strict=by_topic):
            groups.setdefault(f"{store.name}/{topic}", []).append(text)
        for name, part in groups.items():
            chosen[name] = _first([*chosen.get(name, []), *part], total_bytes)
    whole = chosen.pop(store.name)
    if not whole:
        raise SapwoodError(
            f"'{store.name}' has no held-out document to measure with. Raise holdout.share in the recipe, "
            "or give the source more documents."
        )
    return {store.name: whole, **{name: _first(chosen[name], total_bytes // len(chosen)) for name in sorted(chosen)}}


def _first(texts: list[HeldOutText], total_bytes: int) -> list[HeldOutText]:
    """The texts with the lowest ids, as many as it takes to reach `total_bytes`."""
    ordered = sorted(texts, key=lambda text: text.id)
    sizes = itertools.accumulate((text.bytes for text in ordered), initial=0)
    return [text for text, before in zip(ordered, sizes, strict=False) if before < total_bytes]


def _beginning(text: str, limit: int | None) -> str:
    """At most `limit` bytes of UTF-8 from the start of a text, never a part of a character."""
    return text if limit is None else text.encode()[:limit].decode(errors="ignore")
