"""How a `tokenizer.json` spells the bytes that its pieces stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

Content = dict[str, Any]
"""What is in a tokenizer.json."""

_BYTE_LEVEL = b'"ByteLevel"'
_SPACE = "\u2581"
"""What stands for a space where pieces are spelled in characters, as SentencePiece does."""


def is_byte_level(content: Content) -> bool:
    """Whether every character of a piece's spelling stands for one byte."""
    return _BYTE_LEVEL in orjson.dumps([content.get("pre_tokenizer"), content.get("decoder")])


def byte_lengths(content: Content) -> npt.NDArray[np.int64]:
    """How many bytes of text each id stands for, by id; 0 for ids that are not there."""
    vocabulary = content["model"]["vocab"]
    spellings = (
        {number: piece for piece, number in vocabulary.items()}
        if isinstance(vocabulary, dict)
        else {number: piece for number, (piece, _) in enumerate(vocabulary)}
    )
    added = {token["id"]: token["content"] for token in content["added_tokens"]}
    lengths = np.zeros(1 + max([*spellings, *added]), np.int64)
    by_byte = is_byte_level(content)
    for number, piece in spellings.items():
        if by_byte:
            lengths[number] = len(piece)
        else:
            single = len(piece) == 6 and piece.startswith("<0x")  # a byte for which there is no character
            lengths[number] = 1 if single else len(piece.replace(_SPACE, " ").encode())
    for number, token in added.items():
        lengths[number] = len(token.encode())
    return lengths
