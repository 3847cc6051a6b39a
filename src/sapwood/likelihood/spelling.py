"""How many bytes of text each token stands for."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import orjson
from tokenizers import Tokenizer

_SINGLE_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def spelt_bytes(tokenizer: str) -> npt.NDArray[np.int64]:
    """The bytes of UTF-8 that each token of a tokenizer.json with this content spells, `[vocabulary]`.

    Tokens may begin and end inside a character, so this is exact where decoded text is not. It knows byte-level
    vocabularies (GPT-2 and most since) and those of SentencePiece, where a space is written `▁` and single bytes
    `<0x0A>`. What a normalizer adds or removes is not in it.
    """
    reference = Tokenizer.from_str(tokenizer)
    added = {token.content for token in reference.get_added_tokens_decoder().values()}
    written = orjson.loads(tokenizer)
    byte_level = b'"ByteLevel"' in orjson.dumps([written.get("pre_tokenizer"), written.get("decoder")])
    vocabulary: dict[str, int] = reference.get_vocab()
    lengths = np.zeros(max(vocabulary.values(), default=-1) + 1, np.int64)
    for token, number in vocabulary.items():
        if token not in added and byte_level:
            lengths[number] = len(token)  # one character for each byte
        elif token not in added and _SINGLE_BYTE.fullmatch(token):
            lengths[number] = 1
        else:
            lengths[number] = len((token if token in added else token.replace("▁", " ")).encode())
    return lengths
