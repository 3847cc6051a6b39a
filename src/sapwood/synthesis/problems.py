"""Seed problems: a few programming problems with solutions and tests, shown so that a model makes more of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import fsspec
import xxhash
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sapwood.corpus.inputs import list_files
from sapwood.errors import SapwoodError

SHIPPED = Path(__file__).with_name("seed_problems.jsonl")

_Text = Annotated[str, Field(min_length=1)]


class SeedProblem(BaseModel):
    """One line of a file of problems. Other keys are passed over."""

    model_config = ConfigDict(strict=True, frozen=True)

    question: _Text
    solution: _Text
    """Python."""
    tests: _Text
    """Python that follows the solution and fails where it is wrong: `assert` statements."""
    language: str = "en"
    """Of the question."""
    reasoning: str = ""
    """Why the solution is as it is, in a few sentences."""


def load_problems(files: Sequence[str] = ()) -> list[SeedProblem]:
    """The problems in the files (paths, globs or URLs of JSONL), or those that ship where none are named.

    Raises SapwoodError with the file and the row for what is no problem.
    """
    found = []
    for file in list_files("problems", files or [str(SHIPPED)]):
        with fsspec.open(file.url, "rb", compression="infer") as lines:
            for row, line in enumerate(lines, 1):
                if line.strip():
                    found.append(_problem(line, f"{file.url}, row {row}"))
    if not found:
        raise SapwoodError(f"There are no seed problems in {', '.join(files)}.")
    return found


def prompt_values(
    problems: Sequence[SeedProblem], shots: int, *, language: str, difficulty: str, seed: int, number: int
) -> dict[str, Any]:
    """What the prompt `code-problem` is filled in with for the attempt of that number.

    It shows `shots` problems that the seed and the number choose: of the language where there are as many, or else of
    all languages.
    """
    same = [problem for problem in problems if problem.language == language]
    pool = same if len(same) >= shots else problems
    order = sorted(range(len(pool)), key=lambda place: xxhash.xxh3_64_intdigest(f"{seed}/{number}/{place}".encode()))
    return {"examples": [pool[place].model_dump() for place in order[:shots]], "difficulty": difficulty}


def _problem(line: bytes, where: str) -> SeedProblem:
    try:
        return SeedProblem.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise SapwoodError(
            f"{where}: {' '.join(map(repr, first['loc']))} {first['msg']}. A seed problem is a JSON object with "
            "'question', 'solution' and 'tests', all of them text."
        ) from None
