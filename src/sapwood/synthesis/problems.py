"""Seed problems: a few programming problems with solutions and tests, shown so that a model makes more of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import xxhash
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sapwood.corpus.formats.content import read_blocks
from sapwood.corpus.formats.jsonl import split_lines
from sapwood.corpus.formats.row import BrokenFileError
from sapwood.corpus.inputs import list_files, open_file
from sapwood.errors import SapwoodError
from sapwood.recipe.synthesis import Synthesis
from sapwood.synthesis.attempts import Attempt, Seed, plan_attempts

DISCIPLINE, FORMAT = "computer science", "code-problem"
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
        try:
            with open_file(file) as stream:
                for row, (line, _) in enumerate(split_lines(read_blocks(stream, file.name)), 1):
                    if line is None or line.strip():
                        found.append(_problem(line or b"", f"{file.url}, row {row}"))
        except BrokenFileError as error:
            raise SapwoodError(f"{file.url}: {error}") from None
    if not found:
        raise SapwoodError(f"There are no seed problems in {', '.join(files)}.")
    return found


def problem_attempts(job: Synthesis) -> list[Attempt]:
    """As many attempts as the job wants items, each with `shots` problems that the job's seed and its number choose.

    They are of the attempt's language where there are as many, or else of all languages. Raises SapwoodError where the
    problems cannot be read.
    """
    assert job.problems is not None
    problems, shots = load_problems(job.problems.files), job.problems.shots
    planned = plan_attempts([Seed(DISCIPLINE, "", "en")] * job.items, job)
    return [replace(attempt, format=FORMAT, seed=_shown(problems, shots, attempt, job.seed)) for attempt in planned]


def _shown(problems: Sequence[SeedProblem], shots: int, attempt: Attempt, seed: int) -> Seed:
    same = [problem for problem in problems if problem.language == attempt.language]
    pool = same if len(same) >= shots else problems
    order = sorted(
        range(len(pool)), key=lambda place: xxhash.xxh3_64_intdigest(f"{seed}/{attempt.number}/{place}".encode())
    )
    return replace(attempt.seed, examples=tuple(pool[place].model_dump() for place in order[:shots]))


def _problem(line: bytes, where: str) -> SeedProblem:
    try:
        return SeedProblem.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise SapwoodError(
            f"{where}: {' '.join(map(repr, first['loc']))} {first['msg']}. A seed problem is a JSON object with "
            "'question', 'solution' and 'tests', all of them text."
        ) from None
