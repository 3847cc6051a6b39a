"""Which token ids a model has rows for, in its embeddings and its head, and what its tokenizer could give beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer

from sapwood.backbone.contents import CONFIG, WEIGHTS, WEIGHTS_INDEX, weight_files
from sapwood.errors import SapwoodError
from sapwood.files import read_json, reading

_ADVICE = (
    "Give them rows with `model.resize_token_embeddings(len(tokenizer))` of transformers and save the model, or use "
    "the tokenizer that belongs to it."
)


def embedding_rows(directory: Path) -> int:
    """The model in a directory has embeddings for the ids below this; 0 where its configuration does not say.

    Raises SapwoodError where the configuration and the stored weights disagree, with which no model can be loaded.
    """
    config = read_json(directory / CONFIG) if (directory / CONFIG).exists() else {}
    named = int(config.get("vocab_size") or config.get("text_config", {}).get("vocab_size") or 0)
    if not named or not ((directory / WEIGHTS).exists() or (directory / WEIGHTS_INDEX).exists()):
        return named
    for name, rows in _stored_rows(directory).items():
        if rows != named:
            raise SapwoodError(
                f"'{name}' of the model in {directory} has {rows:,} rows, and its {CONFIG} names a vocabulary of "
                f"{named:,}: such a model cannot be loaded. Write `vocab_size: {rows}` into {CONFIG}, if these weights "
                "belong to it."
            )
    return named


def _stored_rows(directory: Path) -> dict[str, int]:
    """The rows of the tables that the model looks ids up in, by their names. Only headers of files are read."""
    from safetensors import safe_open

    from sapwood.backbone.load import build_skeleton, load_config

    try:
        skeleton = build_skeleton(load_config(directory))
    except Exception:  # whoever loads the model will say what is wrong with it
        return {}
    tables = [skeleton.get_input_embeddings(), skeleton.get_output_embeddings()]
    names = [f"{name}.weight" for name, module in skeleton.named_modules() if any(module is table for table in tables)]
    found = {}
    for path in weight_files(directory):
        with reading(path, "Copy or download the model again."), safe_open(path, framework="pt") as file:
            for name in set(file.keys()) & set(names):
                found[name] = int(file.get_slice(name).get_shape()[0])
    return found


def within_rows(content: str, rows: int, directory: Path) -> tuple[str, tuple[str, ...]]:
    """A tokenizer.json, given by its content, without the added tokens that the model has no rows for, and those.

    It is left as it is where no text can give such a token: control tokens never come out of a text. Text that spells
    an added token which is gone becomes ordinary pieces.

    Raises SapwoodError where ordinary pieces have no rows: that is another model's tokenizer.
    """
    tokenizer = Tokenizer.from_str(content)
    beyond = {token: number for token, number in tokenizer.get_vocab().items() if number >= rows > 0}
    if not beyond:
        return content, ()
    added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    parsed = orjson.loads(content)
    pieces = sorted((beyond[piece], piece) for piece in beyond.keys() & _producible(parsed["model"]) - added.keys())
    if pieces:
        raise SapwoodError(
            f"The tokenizer in {directory} cuts texts into ids up to {pieces[-1][0]:,} ({pieces[-1][1]!r}), and the "
            f"model has embeddings for {rows:,} ids, 0 to {rows - 1:,}. {_ADVICE}"
        )
    if all(added[token].special for token in beyond.keys() & added.keys()):
        return content, ()
    return without(content, rows)


def without(content: str, rows: int) -> tuple[str, tuple[str, ...]]:
    """A tokenizer.json without any added token from the id `rows` on, and these tokens."""
    tokenizer, parsed = Tokenizer.from_str(content), orjson.loads(content)
    added = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items() if number >= rows}
    # All of them go: ids of added tokens are counted on when the file is read, so one that is gone would move the next.
    parsed["added_tokens"] = [token for token in parsed["added_tokens"] if token["content"] not in added]
    vocabulary = parsed["model"]["vocab"]
    if isinstance(vocabulary, dict):
        parsed["model"]["vocab"] = {piece: number for piece, number in vocabulary.items() if piece not in added}
    return orjson.dumps(parsed).decode(), tuple(sorted(added, key=lambda token: added[token]))


def _producible(model: dict[str, Any]) -> set[str]:
    """The pieces that can come out of a text. In BPE, that is what merges make, and what they begin with."""
    vocabulary = model["vocab"]
    pieces = set(vocabulary) if isinstance(vocabulary, dict) else {piece for piece, _ in vocabulary}
    whole_words = (
        model.get("ignore_merges") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    )
    if "merges" not in model or whole_words:
        return pieces
    merged = {"".join(merge.split(" ")) if isinstance(merge, str) else "".join(merge) for merge in model["merges"]}
    single = {piece for piece in pieces if len(piece) == 1 or (model.get("byte_fallback") and piece.startswith("<0x"))}
    return merged | single | ({model["unk_token"]} if model.get("unk_token") else set())
