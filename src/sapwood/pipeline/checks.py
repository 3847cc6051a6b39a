"""What will stop a run, found before it costs anything, and what this machine must have: packages, a GPU, room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sapwood.backbone.resolve import at_hand, default_cache
from sapwood.corpus.inputs import list_files
from sapwood.errors import SapwoodError, argument
from sapwood.recipe import Recipe
from sapwood.recipe.document import line_of
from sapwood.recipe.schema import Tracker
from sapwood.report.wording import size
from sapwood.runs.directory import RunDirectory


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


TRACKERS: dict[Tracker, str] = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "trackio": "trackio",
}
"""The package that each tracker needs."""
COMPILERS = ("g++", "clang++", "c++", "cl")
"""What torch.compile looks for where CXX names none."""
CORPUS_SHARE, TOKEN_SHARE = 0.5, 1.2
"""Bytes that prepared documents and their tokens take for each byte of plain text: about as zstd compresses it, with
the columns beside it, and up to four bytes for a token that spells three or four."""
EXPANSION = 4
"""Bytes of text in a byte of a compressed file."""


def check_packages(recipe: Recipe) -> Iterator[Problem]:
    """Packages that training needs and that are not installed."""
    training = recipe.training
    for number, tracker in enumerate(training.trackers):
        if find_spec(TRACKERS[tracker]) is None:
            message = f"'{tracker}' needs a package that is not installed: pip install 'sapwood[{tracker}]'"
            yield Problem(("training", "trackers", str(number)), message)
    if training.adapter is not None and find_spec("peft") is None:
        yield Problem(("training", "adapter"), "needs PEFT, which is not installed: pip install 'sapwood[adapters]'")
    if training.precision == "fp8" and find_spec("torchao") is None:
        yield Problem(
            ("training", "precision"), "fp8 needs torchao, which is not installed: pip install 'sapwood[fp8]'"
        )


def check_hardware(recipe: Recipe) -> Iterator[Problem]:
    """What this machine lacks to train as the recipe says."""
    training = recipe.training
    if training.precision == "fp8":
        from sapwood.training.fp8 import require_fp8  # it imports torch

        try:
            require_fp8()
        except SapwoodError as error:
            yield Problem(("training", "precision"), str(error).removeprefix("precision: "))
    if training.compile is True and not compiler():
        message = f"needs a C++ compiler, and there is none of {', '.join(COMPILERS)}: install one, or write false"
        yield Problem(("training", "compile"), message)


def check_disk(recipe: Recipe, run: RunDirectory, *, with_model: bool) -> Iterator[Problem]:
    """Whether what the run will write has room where it lies, as far as its size is known. What is there counts."""
    needed = disk_bytes(recipe, with_model=with_model)
    total = sum(needed.values())
    place = next(parent for parent in (run.root.absolute(), *run.root.absolute().parents) if parent.exists())
    room = shutil.disk_usage(place).free
    if total > room:  # only then is it worth to count what is there
        room += sum(file.stat().st_size for file in run.root.rglob("*") if file.is_file())
    if total > room:
        parts = ", ".join(f"{what} {size(amount)}" for what, amount in needed.items())
        message = (
            f"the run will take about {size(total)} ({parts}), and {place} has {size(room)} for it. "
            f"Free some, name another disk with {argument('runs')}, or keep fewer checkpoints "
            "(training.checkpoints.keep)"
        )
        yield Problem(("name",), message)


def disk_bytes(recipe: Recipe, *, with_model: bool) -> dict[str, int]:
    """An estimate of what a run writes, by part, of what is known now: of files that are here, and of the model where
    that is here and can be used."""
    text = 0
    for name, source in recipe.sources.items():
        try:
            files = list_files(name, source.files) if source.files else []
        except SapwoodError:
            continue
        text += sum(file.size * (EXPANSION if _is_compressed(file.name) else 1) for file in files)
    found = {"documents": int(text * CORPUS_SHARE), "tokens": int(text * TOKEN_SHARE)}
    directory = at_hand(recipe.model, default_cache()) if with_model else None
    if directory is not None:
        from sapwood.training.footprint import saved_bytes  # it imports torch

        try:
            weights, state = saved_bytes(directory, recipe)
        except SapwoodError:  # of what is asked of the model, such as adapters without PEFT
            return found
        # The one that is being written stands beside those that are kept.
        found |= {"checkpoints": state * (recipe.training.checkpoints.keep + 1), "the adapted model": weights}
    return found


def _is_compressed(name: str) -> bool:
    return name.lower().endswith((".gz", ".zst", ".bz2", ".xz", ".parquet"))


def compiler() -> str | None:
    """The C++ compiler that torch.compile would take; None where there is none."""
    named = os.environ.get("CXX")
    return next((found for name in ((named,) if named else COMPILERS) if (found := shutil.which(name))), None)
