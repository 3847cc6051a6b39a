"""Items made by programs: questions whose exact answer is known, from the generators of reasoning-gym."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from sapwood.errors import SapwoodError, closest
from sapwood.files import write_atomic
from sapwood.manifest import Manifest, read_manifest

ITEMS = "items.jsonl"
"""The file with the items."""

_PACKAGE = "reasoning-gym"
_MISSING = "Sources with 'programs' need the package reasoning-gym: pip install 'sapwood[programs]'"


def make_items(name: str, programs: Mapping[str, int], seed: int, directory: Path) -> Path:
    """Makes the items of the source `name` in `directory`, unless that was done before, and returns their file.

    `programs` are names of generators and how many items of each. One JSON object a line: `text` (question and answer
    as plain text), `question`, `answer`, `generator`, `index`. The same name, programs, seed and version of
    reasoning-gym give the same file; sources of other names get other items.

    Raises SapwoodError for a generator that does not exist, or whose items have no exact answer, and where
    reasoning-gym is not installed.
    """
    try:
        made_by = version(_PACKAGE)
    except PackageNotFoundError:
        raise SapwoodError(_MISSING) from None
    planned = Manifest(
        step="programs", inputs={_PACKAGE: made_by}, settings={"source": name, "programs": dict(programs), "seed": seed}
    )
    path = directory / ITEMS
    done = read_manifest(directory)
    if done is None or done.fingerprint != planned.fingerprint:
        items = _in_turn(programs, int(planned.fingerprint, 16) % 2**31)
        write_atomic(path, b"".join(orjson.dumps(item) + b"\n" for item in items))
        replace(planned, counts={"items": len(items)}).write(directory)
    return path


def _in_turn(programs: Mapping[str, int], seed: int) -> list[dict[str, Any]]:
    """An item of each generator after the other, so that a part of the file is as varied as the whole."""
    generators = [_items(name, size, seed) for name, size in programs.items()]
    return [item for group in itertools.zip_longest(*generators) for item in group if item is not None]


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
