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


def held_out_texts(store: SourceStore, total_bytes: int, document_bytes: int | None) -> list[HeldOutText]:
    """Held-out documents of a prepared source, in the order of their ids, which are hashes.

    Takes whole documents, or their first `document_bytes` (cut between characters), until `total_bytes` are reached.
    Raises SapwoodError when the source holds none out.
    """
    chosen = _choose(store, total_bytes, document_bytes, None)[None]
    if not chosen:
        raise SapwoodError(
            f"'{store.name}' has no held-out document to measure with. Raise holdout.share in the recipe, "
            "or give the source more documents."
        )
    return chosen


def held_out_by_topic(store: SourceStore, total_bytes: int, document_bytes: int | None) -> dict[str, list[HeldOutText]]:
    """Held-out documents of every topic of a source, by `SOURCE/TOPIC`; topics without any are left out.

    Every topic gets the same part of `total_bytes`, so that rare ones are measured as well as common ones.
    """
    found = _choose(store, total_bytes, document_bytes, TOPICS)
    share = total_bytes // max(1, len(found))
    return {f"{store.name}/{topic}": _first(texts, share) for topic, texts in sorted(found.items()) if topic}


def _choose(
    store: SourceStore, total_bytes: int, document_bytes: int | None, topics: str | None
) -> dict[str | None, list[HeldOutText]]:
    """Held-out documents with the lowest ids, up to `total_bytes` of each topic; of all under None without `topics`."""
    chosen: dict[str | None, list[HeldOutText]] = {} if topics else {None: []}
    columns = {DOCUMENTS: ["id", "text"], SELECTION: ["split"], **({topics: ["topic"]} if topics else {})}
    for rows in store.read_all(columns):
        table = pa.table(rows)
        table = table.filter(pc.equal(table[f"{SELECTION}.split"], HOLDOUT))
        names = table[f"{topics}.topic"].to_pylist() if topics else [None] * len(table)
        for topic in dict.fromkeys(names):
            found = zip(table["id"].to_pylist(), table["text"].to_pylist(), names, strict=True)
            texts = [HeldOutText(name, _beginning(text, document_bytes)) for name, text, of in found if of == topic]
            chosen[topic] = _first([*chosen.get(topic, []), *texts], total_bytes)
    return chosen


def _first(texts: list[HeldOutText], total_bytes: int) -> list[HeldOutText]:
    """The texts with the lowest ids, as many as it takes to reach `total_bytes`."""
    ordered = sorted(texts, key=lambda text: text.id)
    sizes = itertools.accumulate((text.bytes for text in ordered), initial=0)
    return [text for text, before in zip(ordered, sizes, strict=False) if before < total_bytes]


def _beginning(text: str, limit: int | None) -> str:
    """At most `limit` bytes of UTF-8 from the start of a text, never a part of a character."""
    return text if limit is None else text.encode()[:limit].decode(errors="ignore")
