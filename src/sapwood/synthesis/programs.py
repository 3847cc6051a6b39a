"""Items made by programs: questions whose exact answer is known, from the generators of reasoning-gym."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sapwood.errors import SapwoodError, closest
from sapwood.files import fingerprint
from sapwood.synthesis import generators
from sapwood.synthesis.item import Item, item_id

UNSTABLE = ("codeio", "knight_swap")
"""Generators of which other items were seen in another process with the same seed and hash seed (reasoning-gym 0.1.25).

Such a difference does not show every time: two runs of these two agreed as well. Of the other 104, 98 gave the same
two items in two processes, list_functions since the process's random numbers are seeded. Six are refused: composite
cannot be run without settings, and boxnet, graph_color, propositional_logic, rubiks_cube and rush_hour have items
without an exact answer.
"""

_PACKAGE = "reasoning-gym"
_MISSING = "Sources with 'programs' need the package reasoning-gym: pip install 'sapwood[programs]'"
_HASH_SEED = "0"
_ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH")
"""What the process gets to see; no key of any server is among it."""


def programs_identity(name: str, programs: Mapping[str, int], seed: int) -> dict[str, Any]:
    """All that decides the items of a source. Raises SapwoodError where reasoning-gym is not installed."""
    identity = {"source": name, "programs": dict(programs), "seed": seed, _PACKAGE: _version()}
    return {**identity, "hash_seed": _HASH_SEED, "random": "by item"}


def make_items(name: str, programs: Mapping[str, int], seed: int) -> Iterator[Item]:
    """The items of the source `name`: one of each generator after the other, so that a part is as varied as the whole.

    `programs` are names of generators and how many items of each. The same name, programs, seed and version of
    reasoning-gym give the same items; sources of other names get others. The discipline is reasoning-gym's category,
    the format the generator.

    Raises SapwoodError for a generator that does not exist, does not always make the same items (`UNSTABLE`), or whose
    items have no exact answer, and where reasoning-gym is not installed.
    """
    start = int(fingerprint(["programs", programs_identity(name, programs, seed)]), 16) % 2**31
    for problem in program_problems(programs).values():
        raise SapwoodError(problem)
    for made in _made(programs, start):
        if "error" in made:
            raise SapwoodError(made["error"])
        yield _item(start, made)


def program_problems(programs: Mapping[str, int]) -> dict[str, str]:
    """What is wrong with the names of generators, by name. Raises SapwoodError where reasoning-gym is not installed."""
    try:
        from reasoning_gym.factory import DATASETS  # takes two seconds
    except ImportError:
        raise SapwoodError(_MISSING) from None
    found = {}
    for name in programs:
        if name not in DATASETS:
            found[name] = f"reasoning-gym has no generator '{name}'. {closest(name, DATASETS)}"
        elif name in UNSTABLE:
            found[name] = (
                f"The generator '{name}' does not always make the same items from the same seed, so that what a model "
                "was trained on could not be made again; take another."
            )
    return found


def _made(programs: Mapping[str, int], seed: int) -> Iterator[dict[str, Any]]:
    """What the generators make, in a process with a fixed hash seed."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": _HASH_SEED}
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [sys.executable, "-m", generators.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"programs": dict(programs), "seed": seed}).encode() + b"\n")
        process.stdin.close()
        try:
            for line in process.stdout:
                yield json.loads(line)
        except BaseException:  # nobody wants the rest
            process.kill()
            raise
        if process.wait():
            complaints.seek(0)
            last = complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise SapwoodError(f"reasoning-gym failed while it made items: {last[:300]}")


def _item(seed: int, made: Mapping[str, Any]) -> Item:
    question, answer = made["question"].strip(), made["answer"].strip()
    return Item(
        id=item_id(question, (), answer),
        question=question,
        answer=answer,
        discipline=made["category"],
        format=made["name"],
        language="en",
        model=_PACKAGE,
        revision=_version(),
        sampling={"seed": seed, "index": made["index"]},
    )


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        raise SapwoodError(_MISSING) from None
