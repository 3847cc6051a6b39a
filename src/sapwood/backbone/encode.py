"""Texts in, token ids out: by the fastest tokenizer that gives the ids of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from fastokens import Tokenizer as FastTokenizer
from tokenizers import Tokenizer

from sapwood.backbone.contents import CONFIG
from sapwood.backbone.lattice import without_controls
from sapwood.backbone.probe import probe_texts
from sapwood.backbone.tokenizer import AUTO, Delimiters, open_tokenizer, read_settings
from sapwood.backbone.tokenizer_files import TOKENIZER
from sapwood.errors import SapwoodError
from sapwood.files import fingerprint, read_json, write_json

REFERENCE, FAST = "tokenizers", "fastokens"
_REFUSALS = 4
"""Where fastokens refuses more than one text in so many, it is not used."""

Encoded = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]
"""Token ids of all texts, one after the other, and where each text's begin, and the last one's end."""


class Encoder:
    """A model's tokenizer for training texts: it adds no tokens, and text that spells a control token stays text.

    The ids are those of the `tokenizers` library. They are made by `fastokens`, many times faster, as long as every
    text on which the two were compared (`verify`) gave the same.
    """

    backend: str
    """The library at work: `fastokens` or `tokenizers`."""
    reason: str
    """Why it is `tokenizers`; empty while it is `fastokens`."""
    content: str
    """The tokenizer.json that is applied."""
    delimiters: Delimiters
    """How texts begin and end. What is encoded here has neither: who lays out a text puts them around it."""
    vocabulary_size: int
    """Ids are below this."""
    fingerprint: str
    """Identifies everything that decides the ids, those around a text among them."""

    def __init__(self, content: str, delimiters: Delimiters, rows: int = 0) -> None:
        """`content` is that of a tokenizer.json; the model has embeddings for the ids below `rows`.

        Raises SapwoodError where the tokenizer cannot be read, or cannot keep text and control tokens apart.
        """
        opened = _opened(content)
        self._reference, self._encoding = opened.reference, opened.encoding
        added = self._reference.get_added_tokens_decoder()
        special = {number: token.content for number, token in added.items() if token.special}
        unknown = _unknown(content)
        control = [number for number, spelled in special.items() if spelled != unknown or number == delimiters.end]
        self._control = np.array(control, np.int64)
        self.content = content
        self.delimiters = delimiters
        self.vocabulary_size = max(rows, 1 + max(self._reference.get_vocab().values(), default=0))
        for number in (*delimiters.begin, delimiters.end):
            if not 0 <= number < self.vocabulary_size:
                raise SapwoodError(
                    f"The token {number}, with which texts begin or end, is outside the vocabulary of "
                    f"{self.vocabulary_size}."
                )
        self.fingerprint = fingerprint([fingerprint(content), asdict(delimiters), self.vocabulary_size])
        self._fast, self.reason = opened.fast, opened.reason
        self.backend = REFERENCE if self._fast is None else FAST
        self.encode_batch(opened.probes)

    @staticmethod
    def load(directory: Path, begin: str = AUTO, end: str = AUTO, *, eos: int | None = None) -> Encoder:
        """The tokenizer in a model's directory, as those who use the model get it (`open_tokenizer`).

        Texts begin and end as it does it, or with the tokens spelled `begin` and `end`. With the id `eos`, its
        tokenizer.json alone is read, and nothing observed: texts begin with nothing, and end with that.

        Raises SapwoodError where the directory has no tokenizer, or it names no token that ends a text.
        """
        if eos is not None:
            settings = read_settings(directory / CONFIG)
            rows = settings.get("vocab_size") or settings.get("text_config", {}).get("vocab_size") or 0
            content = (directory / TOKENIZER).read_text(encoding="utf-8")
            return Encoder(content, Delimiters((), eos, (eos,)), int(rows))
        opened = open_tokenizer(directory)
        return Encoder(opened.content, opened.delimiters(begin, end), opened.rows)

    def write(self, path: Path) -> None:
        """Writes down what `read` makes the same encoder of, without a look at the model."""
        write_json(
            path,
            {"content": self.content, "delimiters": asdict(self.delimiters), "vocabulary_size": self.vocabulary_size},
            sealed=True,
        )

    @staticmethod
    def read(path: Path) -> Encoder:
        """The encoder that was written to `path`."""
        written = read_json(path, f"Remove {path}: the command that made it makes it again.")
        around = written["delimiters"]
        delimiters = Delimiters(tuple(around["begin"]), around["end"], tuple(around["prefix"]))
        return Encoder(written["content"], delimiters, written["vocabulary_size"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds every id: `uint16` or `uint32`."""
        return np.dtype(np.uint16 if self.vocabulary_size <= 1 << 16 else np.uint32)

    def encode_batch(self, texts: Sequence[str]) -> Encoded:
        """The ids of all texts, flat, `[tokens]`, and `offsets`, `[texts + 1]`.

        Text i has `ids[offsets[i] : offsets[i + 1]]`.

        Raises SapwoodError if a control token's id comes out, which no text may give.
        """
        ids, offsets = self._encode(texts)
        controls = np.flatnonzero(np.isin(ids, self._control))
        if len(controls):
            token = self._reference.id_to_token(int(ids[controls[0]]))
            text = texts[int(np.searchsorted(offsets, controls[0], side="right")) - 1]
            raise SapwoodError(
                f"The tokenizer turns the text {text[:60]!r} into the control token {token}. "
                "Such a tokenizer cannot be trained with: text must not be able to speak for the program."
            )
        return ids, offsets

    def verify(self, texts: Sequence[str]) -> None:
        """Compares `fastokens` with `tokenizers` on these texts; after a difference, `tokenizers` is at work.

        Raises SapwoodError if a control token's id comes out of one of them.
        """
        if self._fast is not None:
            self.reason = _objection(self._encoding, self._fast, texts)
            if self.reason:
                self._fast, self.backend = None, REFERENCE
        self.encode_batch(texts)

    def decode(self, ids: Sequence[int], *, controls: bool = True) -> str:
        """The text of some ids, control tokens spelt out, or left out."""
        return str(self._reference.decode(list(ids), skip_special_tokens=not controls))

    def _encode(self, texts: Sequence[str]) -> Encoded:
        if self._fast is None:
            return _encode_reference(self._encoding, texts)
        try:
            return _encode_fast(self._fast, texts)
        except ValueError:
            if len(texts) == 1:
                return _encode_reference(self._encoding, texts)
        # fastokens refuses a text with a byte that the vocabulary lacks; halving finds the few that are meant.
        half = len(texts) // 2
        (ids, offsets), (more, further) = self._encode(texts[:half]), self._encode(texts[half:])
        return np.concatenate([ids, more]), np.concatenate([offsets, offsets[-1] + further[1:]])


@dataclass(frozen=True, slots=True)
class _Opened:
    """A tokenizer in both libraries."""

    reference: Tokenizer
    encoding: Tokenizer
    """The reference without its control tokens, for training texts."""
    fast: FastTokenizer | None
    reason: str
    """Why there is none."""
    probes: list[str]
    """On which the two gave the same."""


@lru_cache(maxsize=1)  # 40 MB; one run opens its model's eight times, at half a second of a real one
def _opened(content: str) -> _Opened:
    reference, texts = _reference(content), without_controls(content)
    encoding = reference if texts == content else _reference(texts)
    probes = probe_texts(token.content for token in reference.get_added_tokens_decoder().values())
    fast, reason = _fast(texts)
    if fast is not None and (reason := _objection(encoding, fast, probes)):
        fast = None
    return _Opened(reference, encoding, fast, reason, probes)


def _reference(content: str) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(content)
    except Exception as error:  # tokenizers raises bare Exception
        raise SapwoodError(f"This is no tokenizer that `tokenizers` can read: {error}") from None
    tokenizer.encode_special_tokens = True
    # A saved tokenizer may still have the limits of whoever used it last.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _fast(content: str) -> tuple[FastTokenizer | None, str]:
    try:
        tokenizer = FastTokenizer.from_json_str(content)
    except Exception as error:  # whatever it cannot read, the reference can
        return None, f"fastokens cannot read this tokenizer: {error}"
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, ""


def _encode_reference(tokenizer: Tokenizer, texts: Sequence[str]) -> Encoded:
    items = [item.ids for item in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    offsets = np.cumsum([0, *map(len, items)], dtype=np.int64)
    ids = np.fromiter((number for item in items for number in item), np.uint32, count=int(offsets[-1]))
    return ids, offsets


def _encode_fast(tokenizer: FastTokenizer, texts: Sequence[str]) -> Encoded:
    ids, offsets = tokenizer.encode_batch_flat(list(texts), split_special_tokens=True)
    return np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<u8").astype(np.int64)


def _objection(reference: Tokenizer, fast: FastTokenizer, texts: Sequence[str]) -> str:
    """Why `fast` cannot stand in for `reference` on these texts; empty if it can.

    It can although it refuses a few of them: those are encoded by the reference.
    """
    accepted, refusal = [], ""
    for text in texts:
        try:
            _encode_fast(fast, [text])
            accepted.append(text)
        except ValueError as error:
            refusal = str(error)
    if (len(texts) - len(accepted)) * _REFUSALS > len(texts):
        return f"fastokens cannot encode many texts: {refusal}"
    expected, offsets = _encode_reference(reference, accepted)
    found, found_offsets = _encode_fast(fast, accepted)
    for number, text in enumerate(accepted):
        ours = found[found_offsets[number] : found_offsets[number + 1]]
        if not np.array_equal(expected[offsets[number] : offsets[number + 1]], ours):
            return f"fastokens gives other ids than tokenizers for {text[:60]!r}"
    return ""


def _unknown(content: str) -> str | None:
    """The token for what the vocabulary lacks. It is marked as special, but it is what such text becomes."""
    model = orjson.loads(content)["model"]
    if model.get("unk_id") is not None:
        return str(model["vocab"][model["unk_id"]][0])
    token = model.get("unk_token")
    return token if isinstance(token, str) else None
