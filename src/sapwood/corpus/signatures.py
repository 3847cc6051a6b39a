"""MinHash signatures: short summaries of documents, of which as many values are equal as their texts are similar.

A text is the set of its shingles, five tokens in a row: words, or single letters of scripts without spaces (`ngrams`).
The share of equal values in two signatures estimates the Jaccard similarity of the two sets (Broder, 1997), with a
standard deviation of at most 0.044. They are made by rensa's R-MinHash from hashed shingles.

Signs are tokens, too, in short texts and in texts of few letters: 2 + 3 is not 2 - 3. A text without any
token (emoji, Braille, drawings) is like no other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from datatrove.data import Document

from sapwood.corpus.annotate import Step
from sapwood.corpus.block import Annotator
from sapwood.corpus.characters import WORDS_VERSION, Hashes
from sapwood.corpus.ngrams import ngram_hashes, tokenise, tokenise_with_signs
from sapwood.corpus.quarantine import is_filtered
from sapwood.corpus.store import SIGNATURES

SHINGLE_TOKENS = 5
SHORT_TOKENS = 64
"""Signs count in texts of fewer tokens. In longer ones a sign is worth less than a word, which may differ, too."""
LETTERED_SHARE = 0.25
"""Signs count in texts of which less is letters. Of programs about two fifths are."""
VALUES = 128
"""Values in a signature, of 32 bits each."""
SEED = 1
"""Decides all signatures; those of other seeds cannot be compared."""

_BATCH = 256

Signatures = npt.NDArray[np.uint32]
"""`[documents, VALUES]`."""


def sign(texts: Iterable[str]) -> Signatures:
    """The signature of every text."""
    from rensa import RMinHash

    shingles = [shingle_hashes(text) for text in texts]
    flat = np.concatenate([np.empty(0, np.uint64), *shingles])
    offsets = np.cumsum([0, *map(len, shingles)], dtype=np.uint64)
    rows = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, VALUES, SEED).to_rows()
    return np.array(rows, np.uint32).reshape(len(shingles), VALUES)


def shingle_hashes(text: str) -> Hashes:
    """The shingles of a text. One of fewer tokens than a shingle is one shingle by itself."""
    tokens = compared_tokens(text)
    return ngram_hashes(tokens, min(SHINGLE_TOKENS, len(tokens)))


def compared_tokens(text: str) -> Hashes:
    """What a text is compared by: its tokens, with signs where they count, or else itself, `[tokens]`; never empty."""
    tokens = tokenise(text)
    if not len(tokens.hashes):
        return np.array([xxhash.xxh3_64_intdigest(text.encode())], np.uint64)
    letters = int((tokens.ends - tokens.starts).sum())
    if len(tokens.hashes) < SHORT_TOKENS or letters < LETTERED_SHARE * len(text):
        return tokenise_with_signs(text).hashes
    return tokens.hashes


class Sign(Annotator):
    """Gives every document its signature."""

    columns: ClassVar[dict[str, pa.DataType]] = {"signature": pa.binary(4 * VALUES)}

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = iter(data or ())
        while batch := list(itertools.islice(documents, _BATCH)):
            wanted = [document for document in batch if not is_filtered(document)]
            for document, signature in zip(wanted, sign(document.text for document in wanted), strict=True):
                document.metadata["signature"] = signature.tobytes()
            yield from batch

    def annotate(self, document: Document) -> None:
        (signature,) = sign([document.text])
        document.metadata["signature"] = signature.tobytes()


def signatures_step(after: tuple[str, ...]) -> Step:
    """The step that signs all documents that are still there."""
    settings: dict[str, Any] = {
        "words": WORDS_VERSION,
        "shingle_tokens": SHINGLE_TOKENS,
        "values": VALUES,
        "seed": SEED,
        "by": _algorithm(),
    }
    return Step(name=SIGNATURES, annotator=Sign(), settings=settings, after=after)


def _algorithm() -> str:
    """Which signatures rensa makes: those of other versions of its algorithm cannot be compared."""
    from rensa import RMinHash

    return f"rensa R-MinHash {RMinHash.ALGORITHM_VERSION}"
