"""A program that makes the items of reasoning-gym's generators, one JSON value a line.

Some generators go through sets of strings, whose order follows Python's hash seed, and some draw from the process's
own random numbers, so that the same seed gives other items in another process. So this runs as a process of its own
with a fixed hash seed, which `programs` starts, and seeds those numbers before every item.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from collections.abc import Iterator, Mapping
from typing import Any


def main() -> None:
    """Reads `{"programs": {NAME: SIZE}, "seed": SEED}`; writes items, one of each generator after the other.

    Where a generator cannot be used, the line says so under `error`, and it is the last.
    """
    wanted = json.loads(sys.stdin.readline())
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # whatever a generator prints must not come between
    try:
        generators = [_items(name, size, wanted["seed"]) for name, size in wanted["programs"].items()]
        for group in itertools.zip_longest(*generators):
            for item in group:
                if item is not None:
                    print(json.dumps(item), file=answers)
    except _UnusableError as error:
        print(json.dumps({"error": str(error)}), file=answers)
    answers.flush()


class _UnusableError(Exception):
    """Why a generator cannot be used."""


def _items(name: str, size: int, seed: int) -> Iterator[Mapping[str, Any]]:
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    category = DATASETS[name][0].__module__.split(".")[1]
    try:
        data = reasoning_gym.create_dataset(name, size=size, seed=seed)
    except (AssertionError, TypeError, ValueError) as error:
        raise _UnusableError(f"The generator '{name}' cannot be used without settings of its own: {error}") from None
    return ({"name": name, "category": category, "index": index, **_made(name, data, index)} for index in range(size))


def _made(name: str, data: Any, index: int) -> Mapping[str, str]:
    random.seed(f"{name} {data.config.seed} {index}")  # list_functions of reasoning-gym 0.1.25 draws from these
    made = data[index]
    if not isinstance(made["answer"], str) or not made["answer"].strip():
        raise _UnusableError(f"The generator '{name}' has items without an exact answer; take another.")
    return {"question": made["question"], "answer": made["answer"]}


if __name__ == "__main__":
    main()
