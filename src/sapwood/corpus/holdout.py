"""Chooses the documents that are never trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import xxhash
from datatrove.data import Document

from sapwood.corpus.block import Block
from sapwood.corpus.quarantine import is_set_aside

TRAIN, HOLDOUT = "train", "holdout"


def is_held_out(text_hash: str, share: Fraction, salt: str) -> bool:
    """Whether the text with this hash is held out: a hash of salt and text, as a fraction of 1, lies below the share.

    Copies of a text share their fate in every source with the same share, and a larger share holds out the same
    documents and more.
    """
    place = xxhash.xxh3_64_intdigest(f"{salt}\0{text_hash}".encode())
    return place * share.denominator < share.numerator << 64


class HoldOut(Block):
    """Sets each document's `split`."""

    def __init__(self, share: Fraction, salt: str) -> None:
        super().__init__()
        self.share = share
        self.salt = salt

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data or ():
            if not is_set_aside(document):
                held_out = is_held_out(document.metadata["text_hash"], self.share, self.salt)
                document.metadata["split"] = HOLDOUT if held_out else TRAIN
            yield document
