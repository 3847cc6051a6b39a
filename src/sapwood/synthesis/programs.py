"""Items made by programs: questions whose exact answer is known, from the generators of reasoning-gym."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sapwood.errors import SapwoodError, closest
from sapwood.files import fingerprint
from sapwood.synthesis.item import Item, item_id

_PACKAGE = "reasoning-gym"
_MISSING = "Sources with 'programs' need the package reasoning-gym: pip install 'sapwood[programs]'"


def programs_identity(name: str, programs: Mapping[str, int], seed: int) -> dict[str, Any]:
    """All that decides the items of a source. Raises SapwoodError where reasoning-gym is not installed."""
    return {"source": name, "programs": dict(programs), "seed": seed, _PACKAGE: _version()}


def make_items(name: str, programs: Mapping[str, int], seed: int) -> Iterator[Item]:
    """The items of the source `name`: one of each generator after the other, so that a part is as varied as the whole.

    `programs` are names of generators and how many items of each. The same name, programs, seed and version of
    reasoning-gym give the same items; sources of other names get others. The discipline is reasoning-gym's category,
    the format the generator.

    Raises SapwoodError for a generator that does not exist, or whose items have no exact answer, and where
    reasoning-gym is not installed.
    """
    start = int(fingerprint(["programs", programs_identity(name, programs, seed)]), 16) % 2**31
    generators = [_items(program, size, start) for program, size in programs.items()]
    for group in itertools.zip_longest(*generators):
        yield from (item for item in group if item is not None)


def _items(name: str, size: int, seed: int) -> Iterator[Item]:
    try:
        import reasoning_gym  # takes two seconds
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise SapwoodError(_MISSING) from None
    if name not in DATASETS:
        raise SapwoodError(f"reasoning-gym has no generator '{name}'. {closest(name, DATASETS)}")
    category = DATASETS[name][0].__module__.split(".")[1]
    try:
        data = reasoning_gym.create_dataset(name, size=size, seed=seed)
    except (AssertionError, TypeError, ValueError) as error:
        raise SapwoodError(f"The generator '{name}' cannot be used without settings of its own: {error}") from None
    return (_item(name, category, {"seed": seed, "index": index}, data[index]) for index in range(size))


def _item(name: str, category: str, sampling: Mapping[str, int], made: Mapping[str, Any]) -> Item:
    question, answer = made["question"], made["answer"]
    if not isinstance(answer, str) or not answer.strip():
        raise SapwoodError(f"The generator '{name}' has items without an exact answer; take another.")
    question, answer = question.strip(), answer.strip()
    return Item(
        id=item_id(question, (), answer),
        question=question,
        answer=answer,
        discipline=category,
        format=name,
        language="en",
        model=_PACKAGE,
        revision=_version(),
        sampling=sampling,
    )


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        raise SapwoodError(_MISSING) from None
