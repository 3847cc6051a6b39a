"""A model's tokenizer as those who use the model get it, and what it puts around a text.

Users go through `AutoTokenizer` of transformers, which does not always do what the model's tokenizer.json says: for
some kinds of models (Qwen 2 and 3.5 among them) it builds normalizer and splitting itself, and settings in
tokenizer_config.json change both. What a text is cut into, how it begins and how it ends is therefore observed there,
once, and nowhere assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from sapwood.backbone.contents import CONFIG, copy_other_files, other_files
from sapwood.backbone.pre_tokenizers import UNKNOWN, objection
from sapwood.backbone.probe import probe_texts
from sapwood.backbone.rows import embedding_rows, within_rows, without
from sapwood.backbone.tokenizer_files import TOKENIZER, TOKENIZER_CONFIG, write_tokenizer
from sapwood.errors import SapwoodError, closest
from sapwood.files import read_json

GENERATION_CONFIG = "generation_config.json"
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
    """The tokenizer.json that gives what users of the model get, and no id that the model lacks."""
    rows: int
    """The model has embeddings for the ids below this; 0 where its configuration does not say."""
    begin: tuple[int, ...] | None
    """What it puts in front of a text; None where that depends on the text."""
    beginning: int | None
    """The token that is named as the beginning of a sequence, whether it is put there or not."""
    end: int | None
    """The first token with a row that is named as the end of one."""
    gone: tuple[str, ...]
    """Added tokens without rows that a text could have given, and those after them: they are text now."""
    changed: bool
    """Whether the files of the directory say anything else. An exported model has them changed (`write_tokenizer`)."""
    notes: tuple[str, ...]
    """What is otherwise than the directory's files say, in sentences."""

    def delimiters(self, begin: str = AUTO, end: str = AUTO) -> Delimiters:
        """How texts begin and end: as the tokenizer does it, or with other tokens, given as they are spelled.

        Raises DelimiterError for a token that it does not have, and SapwoodError where it names no end.
        """
        last = self.end if end == AUTO else self._find("end", end)
        if last is None:
            raise SapwoodError(
                f"{self.directory} names no token that ends a text and has an embedding: write `eos_token` in its "
                f"{TOKENIZER_CONFIG}, "
                f"`eos_token_id` in its {CONFIG}, or `tokenizer: {{end: ...}}` in the recipe."
            )
        for number in (self.begin or ()) if begin == AUTO else ():
            self._check_row("begin", number)
        first = self.begin if begin == AUTO else () if begin == NONE else (self._find("begin", begin),)
        if first is None:
            raise DelimiterError(
                "begin", f"the tokenizer in {self.directory} does not begin all texts alike; write {NONE}, or a token."
            )
        return Delimiters(first, last, first or (last if self.beginning is None else self.beginning,))

    def around(self, delimiters: Delimiters) -> tuple[str, str]:
        """What texts begin with, "" for nothing, and what they end with, as it is written."""
        return " ".join(self.spelled(number) for number in delimiters.begin), self.spelled(delimiters.end)

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
        self._check_row(field, number)
        return number

    def _check_row(self, field: str, number: int) -> None:
        if number >= self.rows > 0:
            raise DelimiterError(
                field,
                f"the model has no row for {self.spelled(number)} (id {number:,}): its embeddings have {self.rows:,}. "
                f"Write {NONE if field == 'begin' else AUTO} or a token with a row, or give it one with "
                "`model.resize_token_embeddings(len(tokenizer))` of transformers.",
            )

    def write(self, directory: Path, extended: str | None = None) -> None:
        """Makes the tokenizer in a copy of the directory say what is trained on, where its files do not.

        That is `content`, or the tokenizer.json `extended` that was made of it.
        """
        if self.changed or extended is not None:
            end = None if self.end is None else self.spelled(self.end)
            write_tokenizer(directory, extended or self.content, self.gone, end)


def open_tokenizer(directory: Path) -> ModelTokenizer:
    """Opens the tokenizer in a model's directory, and observes what it does to texts.

    Raises SapwoodError where there is none.
    """
    files = other_files(directory) if directory.is_dir() else []
    return _open(directory, tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files))


@lru_cache(maxsize=4)
def _open(directory: Path, files: tuple[tuple[str, int, int], ...]) -> ModelTokenizer:
    """Observes it once a process, as long as none of the directory's `files` changes."""
    guessed = read_settings(directory / TOKENIZER_CONFIG).get(UNKNOWN)
    if guessed is not None:
        raise SapwoodError(objection(guessed, directory))
    rows = embedding_rows(directory)
    tokenizer = _load(directory)
    users, differing = _as_users_get_it(directory, tokenizer)
    content, gone = within_rows(users, rows, directory)
    end, ended = _end(directory, tokenizer, rows)
    if ended and end is not None and not gone:
        # The end that the tokenizer names has no row. It goes, lest users of the exported model run into it.
        content, gone = without(content, rows)
    named = tokenizer.bos_token_id
    opened = ModelTokenizer(
        directory=directory,
        content=content,
        rows=rows,
        begin=_beginning(tokenizer),
        beginning=None if named is not None and named >= rows > 0 else named,
        end=end,
        gone=gone,
        changed=bool(differing or gone),
        notes=tuple(filter(None, (differing, _gone_note(gone, rows), ended))),
    )
    if opened.changed:
        _check_written(opened, tokenizer.eos_token_id)
    return opened


def _load(directory: Path) -> Any:
    # Importing transformers takes seconds: workers that encode texts do without.
    from transformers import PreTrainedTokenizerFast

    from sapwood.backbone.load import LOCAL, load_tokenizer

    with _explained(directory):
        if (directory / CONFIG).exists():
            tokenizer = load_tokenizer(directory)
        else:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(directory, **LOCAL)
    # Without files, the classes of some kinds make a tokenizer with an empty vocabulary, which drops every text.
    if len(set(tokenizer.get_vocab().values()) - set(tokenizer.added_tokens_decoder)) < 2:
        raise SapwoodError(
            f"{directory} has no tokenizer: {type(tokenizer).__name__} of transformers finds no vocabulary there. Copy "
            f"the files of the model's tokenizer into it, such as {TOKENIZER} and {TOKENIZER_CONFIG}."
        )
    return tokenizer


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turns what transformers and tokenizers raise over a tokenizer into an error that says what to do."""
    try:
        yield
    except Exception as error:  # tokenizers raises bare Exception
        raise SapwoodError(
            f"{directory} has no tokenizer that transformers can open: {error}. Write one with "
            f"`AutoTokenizer.from_pretrained(directory).save_pretrained(directory)`."
        ) from None


def _as_users_get_it(directory: Path, tokenizer: Any) -> tuple[str, str]:
    """A tokenizer.json that gives what `tokenizer` gives, and a sentence where that is not the directory's own."""
    path = directory / TOKENIZER
    own = path.read_text(encoding="utf-8") if path.exists() else None
    with _explained(directory):  # one that opens may still fail at a text, for want of the token for what is unknown
        texts, theirs = _observed(tokenizer)
    first = None if own is None else _difference(own, texts, theirs)
    if own is not None and first is None:
        return own, ""
    kind = type(tokenizer).__name__
    backend = getattr(tokenizer, "backend_tokenizer", None)
    built = None if backend is None else str(backend.to_str())
    if built is None or (last := _difference(built, texts, theirs)) is not None:
        shown = first if built is None else last
        raise SapwoodError(
            f"{kind} of transformers, through which the model in {directory} is used, cuts {shown!r} otherwise than "
            f"any {TOKENIZER} could say. Name another `tokenizer_class` in its {TOKENIZER_CONFIG}, such as "
            "PreTrainedTokenizerFast."
        )
    if own is None:
        return built, ""
    return built, (
        f"{kind} of transformers, through which the model is used, does not do what its {TOKENIZER} says, first on "
        f"{first!r}. Texts are cut as users of the model get them cut, and the adapted model's {TOKENIZER} will say so."
    )


def _observed(tokenizer: Any) -> tuple[list[str], list[list[int]]]:
    """Texts, and what users of a tokenizer get for them. Texts in which they get control tokens are left out."""
    added = tokenizer.added_tokens_decoder
    unknown = tokenizer.unk_token_id
    control = {number for number, token in added.items() if token.special and number != unknown}
    texts = probe_texts(token.content for token in added.values())
    found = tokenizer(texts, add_special_tokens=False, truncation=False, padding=False, verbose=False)["input_ids"]
    kept = [(text, list(ids)) for text, ids in zip(texts, found, strict=True) if not control.intersection(ids)]
    return [text for text, _ in kept], [ids for _, ids in kept]


def _difference(content: str, texts: list[str], theirs: list[list[int]]) -> str | None:
    """The first text of which a tokenizer.json makes other ids; None where it makes the same of all."""
    try:
        tokenizer = Tokenizer.from_str(content)
    except Exception as error:  # tokenizers raises bare Exception
        raise SapwoodError(f"This is no tokenizer that `tokenizers` can read: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ours = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    pairs = zip(texts, ours, theirs, strict=True)
    return next((text[:60] for text, item, ids in pairs if item.ids != ids), None)


def _check_written(opened: ModelTokenizer, eos: int | None) -> None:
    """Raises SapwoodError where an exported tokenizer would not give what is trained on. `eos` is the end that the
    directory's own names."""
    with TemporaryDirectory() as name:
        copy = Path(name)
        copy_other_files(opened.directory, copy)
        opened.write(copy)
        after = _load(copy)
        texts, theirs = _observed(after)
        differing = _difference(opened.content, texts, theirs)
        around = (_beginning(after), after.eos_token_id) == (opened.begin, opened.end if opened.gone else eos)
        if differing is not None or not around:
            raise SapwoodError(
                f"The tokenizer in {opened.directory} cannot be trained with: " + " ".join(opened.notes) + " And "
                f"{type(after).__name__} of transformers would not read it so from the adapted model"
                + ("." if differing is None else f", on {differing!r}.")
            )


def _gone_note(gone: tuple[str, ...], rows: int) -> str:
    if not gone:
        return ""
    names = ", ".join(gone[:5]) + (" and others" if len(gone) > 5 else "")
    return (
        f"The model has embeddings for {rows:,} ids, and its tokenizer has added tokens beyond them: {names}. They are "
        "left out, and text that spells them becomes ordinary pieces, in the adapted model's tokenizer too. To train "
        "them, give them rows first: `model.resize_token_embeddings(len(tokenizer))` of transformers."
    )


def _beginning(tokenizer: Any) -> tuple[int, ...] | None:
    """What the tokenizer puts in front of texts; None where it does not do the same to all."""
    fronts = set()
    for text in _TEXTS:
        plain, whole = (list(tokenizer(text, add_special_tokens=special)["input_ids"]) for special in (False, True))
        if plain:
            places = range(len(whole) - len(plain) + 1)
            fronts.add(next((tuple(whole[:at]) for at in places if whole[at : at + len(plain)] == plain), None))
    return fronts.pop() if len(fronts) == 1 else None


def _end(directory: Path, tokenizer: Any, rows: int) -> tuple[int | None, str]:
    """The first token with a row that is named as the end of a text, by the tokenizer or the model's settings, and a
    sentence where one without was named before it."""
    named = [(TOKENIZER_CONFIG, tokenizer.eos_token_id)]
    for name in (GENERATION_CONFIG, CONFIG):
        settings = read_settings(directory / name)
        ids = settings.get("eos_token_id", settings.get("text_config", {}).get("eos_token_id"))
        named += [(name, number) for number in (ids if isinstance(ids, list) else [ids])]
    for name, number in named:
        if number is not None and not number >= rows > 0:
            first = tokenizer.eos_token_id
            if first is None or not first >= rows > 0:
                return number, ""
            return number, (
                f"The model has no embedding for {tokenizer.eos_token} (id {first:,}), which its tokenizer names as "
                f"the end of a text. Texts end with {tokenizer.convert_ids_to_tokens(number)} (id {number:,}) instead, "
                f"which {name} names; the adapted model's tokenizer will name it too."
            )
    return None, ""


def read_settings(path: Path) -> dict[str, Any]:
    """What is in a JSON file of settings; nothing where there is no such file."""
    return dict(read_json(path, "Copy or download the model again.")) if path.exists() else {}
