"""Items made by programs: questions whose exact answer is known, from the generators of reasoning-gym."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from sapwood.errors import SapwoodError, closest
from sapwood.files import write_atomic

_PACKAGE = "reasoning-gym"
_MISSING = "Sources with 'programs' need the package reasoning-gym: pip install 'sapwood[programs]'"


def generator_version() -> str:
    """The version of reasoning-gym: with the seed it decides the items. Raises SapwoodError where it is missing."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        raise SapwoodError(_MISSING) from None


def write_items(programs: Mapping[str, int], seed: int, path: Path) -> int:
    """Writes as many items of each generator as `programs` says, in turn, and returns how many there are in all.

    One JSON object a line: `text` (question and answer as plain text), `question`, `answer`, `generator`, `index`.
    The same programs, seed and version of reasoning-gym give the same file.

    Raises SapwoodError for a generator that does not exist or whose items have no exact answer.
    """
    generators = [_items(name, size, seed) for name, size in programs.items()]
    # In turn, so that a part of the file is as varied as the whole.
    items = [item for group in itertools.zip_longest(*generators) for item in group if item is not None]
    write_atomic(path, b"".join(orjson.dumps(item) + b"\n" for item in items))
    return len(items)


def _items(name: str, size: int, seed: int) -> Iterator[dict[str, Any]]:
    try:
        import reasoning_gym  # takes two seconds
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise SapwoodError(_MISSING) from None
    if name not in DATASETS:
        raise SapwoodError(f"reasoning-gym has no generator '{name}'. {closest(name, DATASETS)}")
    try:
        data = reasoning_gym.create_dataset(name, size=size, seed=seed)
    except (AssertionError, TypeError, ValueError) as error:
        raise SapwoodError(f"The generator '{name}' cannot be used without settings of its own: {error}") from None
    return (_item(name, index, data[index]) for index in range(size))


def _item(name: str, index: int, item: Mapping[str, Any]) -> dict[str, Any]:
    question, answer = item["question"], item["answer"]
    if not isinstance(answer, str) or not answer.strip():
        raise SapwoodError(f"The generator '{name}' has items without an exact answer; take another.")
    question, answer = question.strip(), answer.strip()
    return {
        "text": f"Question: {question}\nAnswer: {answer}",
        "question": question,
        "answer": answer,
        "generator": name,
        "index": index,
    }
