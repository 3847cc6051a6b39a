"""Something that will stop a run, found before it costs anything: where in the recipe, and what to write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sapwood.errors import SapwoodError
from sapwood.recipe.document import line_of


@dataclass(frozen=True, slots=True)
class Problem:
    """One of them."""

    place: tuple[str, ...]
    """Where in the recipe."""
    message: str
    """What was found, and what to write instead."""
    waits: bool = False
    """Whether it is only not here yet: the recipe says how large it will be, or a command makes or fetches it. A plan
    is possible without it."""
    noted: bool = False
    """Whether it should be known, and stops nothing."""


def refuse(problems: Sequence[Problem], file: Path | None) -> None:
    """Raises SapwoodError that lists all problems in the order of the recipe in `file`, if any of them stops a run."""
    stopping = [problem for problem in problems if not problem.noted]
    if stopping:
        raise SapwoodError("\n".join(listed(stopping, file)))


def listed(problems: Iterable[Problem], file: Path | None) -> list[str]:
    """The problems as `file:line: field: message`, in the order of the recipe, each once."""
    lines = {f"{line_of(file, problem.place)}: {problem.message}" for problem in problems}
    return sorted(lines, key=lambda line: (_number(line, file), line))


def _number(line: str, file: Path | None) -> int:
    if file is None:
        return 0
    return int(line.removeprefix(f"{file}:").partition(":")[0])
