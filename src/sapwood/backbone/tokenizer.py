"""A model's tokenizer as those who use the model get it, and what it puts around a text.

Users go through `AutoTokenizer` of transformers, and settings in tokenizer_config.json change what it does. So how
texts begin and end is observed there, once, and nowhere assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer

from sapwood.backbone.contents import CONFIG, other_files
from sapwood.errors import SapwoodError, closest

TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG = "tokenizer.json", "tokenizer_config.json", "generation_config.json"
AUTO, NONE = "auto", "none"
"""What a recipe may write in place of a token: as the model's own tokenizer does it; nothing."""

_TEXTS = ("a", "The year 2024, in words.", "天地玄黄")
"""What stands around them is what the tokenizer puts around any text."""


class DelimiterError(SapwoodError):
    """A token that texts cannot begin or end with. `field` is the recipe's field below `tokenizer`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"tokenizer.{field}: {message}")
        self.field, self.message = field, message


@dataclass(frozen=True, slots=True)
class Delimiters:
    """How the texts of a model begin and end, in token ids: in training, in scoring and in prompts alike."""

    begin: tuple[int, ...]
    """What stands in front of every text; of many models, nothing."""
    end: int
    """What ends every document in training."""
    prefix: tuple[int, ...]
    """What the first token of a text is predicted from: `begin`; where that is nothing, the token that is named as the
    beginning of a sequence, or else `end`, as lm-evaluation-harness does it."""


@dataclass(frozen=True, slots=True)
class ModelTokenizer:
    """What is to be known of the tokenizer in a model's directory."""

    directory: Path
    content: str
    """The tokenizer.json that gives what users of the model get."""
    rows: int
    """The model has embeddings for the ids below this; 0 where its configuration does not say."""
    begin: tuple[int, ...] | None
    """What it puts in front of a text; None where that depends on the text."""
    beginning: int | None
    """The token that is named as the beginning of a sequence, whether it is put there or not."""
    end: int | None
    """The token that is named as the end of one."""

    def delimiters(self, begin: str = AUTO, end: str = AUTO) -> Delimiters:
        """How texts begin and end: as the tokenizer does it, or with other tokens, given as they are spelled.

        Raises DelimiterError for a token that it does not have, and SapwoodError where it names no end.
        """
        last = self.end if end == AUTO else self._find("end", end)
        if last is None:
            raise SapwoodError(
                f"{self.directory} names no token that ends a text: write `eos_token` in its {TOKENIZER_CONFIG}, "
                f"`eos_token_id` in its {CONFIG}, or `tokenizer: {{end: ...}}` in the recipe."
            )
        first = self.begin if begin == AUTO else () if begin == NONE else (self._find("begin", begin),)
        if first is None:
            raise DelimiterError(
                "begin", f"the tokenizer in {self.directory} does not begin all texts alike; write {NONE}, or a token."
            )
        return Delimiters(first, last, first or (last if self.beginning is None else self.beginning,))

    def spelled(self, number: int) -> str:
        """How a token is written."""
        return str(Tokenizer.from_str(self.content).id_to_token(number))

    def _find(self, field: str, token: str) -> int:
        tokenizer = Tokenizer.from_str(self.content)
        number: int | None = tokenizer.token_to_id(token)
        if number is None:
            special = [added.content for added in tokenizer.get_added_tokens_decoder().values() if added.special]
            words = f"{AUTO}, {NONE}" if field == "begin" else AUTO
            raise DelimiterError(
                field,
                f"found {token!r}: the model's tokenizer has no such token. {closest(token, special)} "
                f"Or write {words}.".replace("  ", " "),
            )
        return number


def open_tokenizer(directory: Path) -> ModelTokenizer:
    """Opens the tokenizer in a model's directory, and observes what it does to texts.

    Raises SapwoodError where there is none.
    """
    files = other_files(directory) if directory.is_dir() else []
    return _open(directory, tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files))


@lru_cache(maxsize=4)
def _open(directory: Path, files: tuple[tuple[str, int, int], ...]) -> ModelTokenizer:
    """Observes it once a process, as long as none of the directory's `files` changes."""
    tokenizer = _load(directory)
    config = read_settings(directory / CONFIG)
    return ModelTokenizer(
        directory=directory,
        content=(directory / TOKENIZER).read_text(encoding="utf-8"),
        rows=int(config.get("vocab_size") or config.get("text_config", {}).get("vocab_size") or 0),
        begin=_beginning(tokenizer),
        beginning=tokenizer.bos_token_id,
        end=next(_ends(directory, tokenizer), None),
    )


def _load(directory: Path) -> Any:
    # Importing transformers takes seconds: workers that encode texts do without.
    from transformers import PreTrainedTokenizerFast

    from sapwood.backbone.load import LOCAL, load_tokenizer

    if not (directory / TOKENIZER).exists():
        raise SapwoodError(
            f"{directory} has no {TOKENIZER}. Write one with "
            f"`AutoTokenizer.from_pretrained(directory).save_pretrained(directory)` from transformers."
        )
    if (directory / CONFIG).exists():
        return load_tokenizer(directory)
    try:
        return PreTrainedTokenizerFast.from_pretrained(directory, **LOCAL)
    except Exception as error:  # tokenizers raises bare Exception
        raise SapwoodError(f"{directory / TOKENIZER} is no tokenizer that `tokenizers` can read: {error}") from None


def _beginning(tokenizer: Any) -> tuple[int, ...] | None:
    """What the tokenizer puts in front of texts; None where it does not do the same to all."""
    fronts = set()
    for text in _TEXTS:
        plain, whole = (list(tokenizer(text, add_special_tokens=special)["input_ids"]) for special in (False, True))
        if plain:
            places = range(len(whole) - len(plain) + 1)
            fronts.add(next((tuple(whole[:at]) for at in places if whole[at : at + len(plain)] == plain), None))
    return fronts.pop() if len(fronts) == 1 else None


def _ends(directory: Path, tokenizer: Any) -> Iterator[int]:
    """The tokens that are named as the end of a text: by the tokenizer, and by the model's settings."""
    if tokenizer.eos_token_id is not None:
        yield tokenizer.eos_token_id
    for name in (GENERATION_CONFIG, CONFIG):
        named = read_settings(directory / name).get("eos_token_id")
        yield from named if isinstance(named, list) else [] if named is None else [named]


def read_settings(path: Path) -> dict[str, Any]:
    """What is in a JSON file of settings; nothing where there is no such file."""
    return dict(orjson.loads(path.read_bytes())) if path.exists() else {}
