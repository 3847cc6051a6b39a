"""A model with more pieces in its vocabulary: each begins as the mean of the pieces it is made of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import PreTrainedTokenizerFast

from sapwood import __version__
from sapwood.backbone.contents import CONFIG, copy_other_files
from sapwood.backbone.encode import Encoder
from sapwood.backbone.load import build_skeleton, load_config, load_tokenizer
from sapwood.backbone.resolve import fingerprint_model
from sapwood.backbone.rewrite import finished_model, rewrite_weights, stored_shapes
from sapwood.backbone.tokenizer import open_tokenizer
from sapwood.backbone.vocabulary.learn import as_tokenizer, check_kind, extended, learn, new_pieces
from sapwood.backbone.vocabulary.pieces import Content
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, fingerprint, read_json, write_json
from sapwood.runs.manifest import Manifest

STEP = "vocabulary"
_OTHER_TOKENIZERS = ("vocab.json", "merges.txt", "tokenizer.model")
"""What older programs read a tokenizer from. They would not know the new pieces."""
_CHECKED_TEXTS = 256


@dataclass(frozen=True, slots=True)
class Tables:
    """The weights that have a row for every id: embeddings, and a head that is not tied to them."""

    names: tuple[str, ...]
    rows: int


def extend(
    source: Path, texts: Sequence[str], kept: Sequence[str], target: Path, *, size: int, multiple: int
) -> Manifest:
    """Writes the model in `source` with up to `size` more pieces, learned from `texts`, as the directory `target`.

    What is extended is the tokenizer as users of the model get it (`open_tokenizer`). The texts of `kept` keep the
    tokens they have (`learn`). New ids come after all that exist, added tokens too. Rows that the tables have beyond
    the tokenizer's ids are used first; if they do not suffice, the tables grow to a multiple of `multiple`. The row of
    a new piece is the mean of those of the pieces that the old tokenizer spells it with, in each table of its own; rows
    that belong to no id are the mean of all. All other numbers stay as they are.

    Done before with the same model, texts and settings, it is not done again. In the manifest, `counts` has `pieces`,
    `first_id`, `rows_before` and `rows`.

    Raises SapwoodError where the tokenizer or the model is of a kind that cannot be extended, or `target` holds
    something else.
    """
    opened = open_tokenizer(source)
    content = _cut_as_users(orjson.loads(opened.content), load_tokenizer(source))
    check_kind(content)
    inputs = {"model": fingerprint_model(source), "texts": fingerprint(list(texts)), "kept": fingerprint(list(kept))}
    if opened.changed:  # transformers decides it, and not the files alone
        inputs["tokenizer"] = fingerprint(content)
    planned = Manifest(
        step=STEP,
        inputs=inputs,
        settings={"size": size, "multiple": multiple},
    )
    done = finished_model(target, planned)
    if done is not None:
        return done
    started = time.monotonic()
    tables = find_tables(source)
    merges = learn(content, texts, kept, size)
    pieces, new = new_pieces(merges), extended(content, merges)
    first = int(new["model"]["vocab"][pieces[0]])
    needed = first + len(pieces)
    rows = tables.rows if needed <= tables.rows else -(-needed // multiple) * multiple
    old = as_tokenizer(content)
    parts = [[token.id for token in old.model.tokenize(piece)] for piece in pieces]

    def grow(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: grow_table(tensor, parts, first, rows) if name in tables.names else tensor}

    with atomic_directory(target) as directory:
        copy_other_files(source, directory, but=_OTHER_TOKENIZERS)
        opened.write(directory, orjson.dumps(new, option=orjson.OPT_INDENT_2).decode())
        _name_rows(directory / CONFIG, rows)
        rewrite_weights(source, directory, grow)
        _check(source, directory, [*texts[:_CHECKED_TEXTS], *kept[:_CHECKED_TEXTS]])
        done = Manifest(
            step=STEP,
            inputs=planned.inputs,
            settings=planned.settings,
            counts={"pieces": len(pieces), "first_id": first, "rows_before": tables.rows, "rows": rows},
            versions={"sapwood": __version__, "tokenizers": version("tokenizers")},
            seconds=round(time.monotonic() - started, 1),
        )
        done.write(directory)
    return done


def find_tables(source: Path) -> Tables:
    """The weights of the model in `source` that grow with its vocabulary.

    Raises SapwoodError where they are not stored under their names, or do not have a row for every id.
    """
    config = load_config(source)
    before = _shapes(config)
    size = config.get_text_config().vocab_size
    config.get_text_config().vocab_size = size + 1
    after = _shapes(config)
    grown = {name: shape for name, shape in before.items() if shape != after[name]}
    stored = stored_shapes(source)
    for name, shape in grown.items():
        if shape[0] != size or after[name] != (size + 1, *shape[1:]) or stored.get(name, shape) != shape:
            raise SapwoodError(
                f"The weights '{name}' of the model in {source} have the shape {stored.get(name, shape)} where "
                f"config.json names {size} ids, and no row for each: such a vocabulary cannot be extended."
            )
    names = tuple(sorted(grown.keys() & stored.keys()))
    if not names:
        raise SapwoodError(
            f"The model in {source} stores its embeddings under other names than {' or '.join(sorted(grown))}: "
            "such a model cannot be extended."
        )
    return Tables(names, size)


def grow_table(table: torch.Tensor, parts: Sequence[Sequence[int]], first: int, rows: int) -> torch.Tensor:
    """`table`, `[old rows, ...]`, with `rows` rows; from `first` on, row i is the mean of the rows in `parts[i]`.

    Other rows that it did not have become the mean of all rows below `first`. Means are computed in fp32.
    """
    grown = table.new_empty((rows, *table.shape[1:]))
    grown[: len(table)] = table
    grown[len(table) :] = table[:first].mean(0, dtype=torch.float32).to(table.dtype)
    flat = torch.tensor([number for part in parts for number in part])
    starts = torch.tensor([0, *(len(part) for part in parts[:-1])]).cumsum(0)
    used, places = torch.unique(flat, return_inverse=True)
    chosen = table[used].float().reshape(len(used), -1)
    means = F.embedding_bag(places, chosen, starts, mode="mean")
    grown[first : first + len(parts)] = means.reshape(len(parts), *table.shape[1:]).to(table.dtype)
    return grown


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in build_skeleton(config).state_dict().items()}


def _name_rows(path: Path, rows: int) -> None:
    """Writes the number of rows wherever config.json names it."""
    content = read_json(path, "Get the model again.")
    for settings in (content, content.get("text_config", {})):
        if "vocab_size" in settings:
            settings["vocab_size"] = rows
    write_json(path, content)


def _check(source: Path, target: Path, texts: Sequence[str]) -> None:
    """Raises SapwoodError where the new tokenizer does not give texts back as the old one does, or an added token has
    another id, or transformers, which builds some kinds anew, does not make of the new file what it says."""
    (old, old_class), (new, new_class) = ((Encoder.load(at), load_tokenizer(at)) for at in (source, target))
    new.verify(texts)
    other = next(iter(open_tokenizer(target).notes), None)
    if other is not None:
        raise SapwoodError(f"The extended tokenizer is not what users of the extended model would get. {other}")
    for text in texts:
        before, after = (encoder.encode_batch([text])[0].tolist() for encoder in (old, new))
        if old.decode(before) != new.decode(after):
            raise SapwoodError(f"The extended tokenizer does not give {text[:60]!r} back as the old one does.")
        if _theirs(new_class, text) != after:
            raise SapwoodError(
                f"{type(new_class).__name__} of transformers reads the extended tokenizer.json otherwise than the "
                f"library tokenizers does, on {text[:60]!r}: write another `tokenizer_class` in tokenizer_config.json."
            )
    ids = new_class.get_vocab()
    moved = [token for token, number in old_class.get_added_vocab().items() if ids[token] != number]
    if moved:
        raise SapwoodError(
            f"The token {moved[0]} is not in tokenizer.json and would get another id. Write it there first, with "
            "`AutoTokenizer.from_pretrained(directory).save_pretrained(directory)` from transformers."
        )


def _cut_as_users(content: Content, users: PreTrainedTokenizerFast) -> Content:
    """A tokenizer.json that cuts texts into words as the class of transformers does.

    Where no old piece shows a difference, as with digits of which no two stand in one piece, a new piece would.
    """
    built = orjson.loads(users.backend_tokenizer.to_str())
    return content | {part: built[part] for part in ("normalizer", "pre_tokenizer")}


def _theirs(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
