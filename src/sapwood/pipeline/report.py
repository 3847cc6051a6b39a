"""What a run has to say about itself: its page, its model card, and several runs on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sapwood.errors import SapwoodError
from sapwood.pipeline.handle import Run, labels, open_run
from sapwood.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Reported:
    """The files of a report."""

    page: Path
    model: Path | None
    """The directory of the adapted model, whose card was written; None where there is no model yet."""


def write_report(recipe: Run | Recipe | str | Path) -> Reported:
    """Writes the report of a run, one HTML page, and the model card beside the adapted model.

    Raises SapwoodError where there is no run, or where its records are damaged.
    """
    from sapwood.report.card import write_card
    from sapwood.report.page import write_report as write_page

    run = open_run(recipe)
    place = run.directory
    if not place.root.is_dir():
        raise SapwoodError(f"There is no run in {place.root}. `sapwood run` or `sapwood prepare` begins one.")
    page = write_page(run.recipe, place.root)
    if not place.model.is_dir():
        return Reported(page, None)
    write_card(run.recipe, place.root)
    return Reported(page, place.model)


def compare_runs(runs: Sequence[str | Path], output: Path | None = None) -> Path:
    """Writes one page about several runs, given by their directories, and returns its path: `output`, or a file beside
    the first.

    Raises SapwoodError where one is not the directory of a run, or is named twice.
    """
    from sapwood.report.comparison import PAGE, write_comparison

    for run in runs:
        if not (Path(run) / "recipe.yaml").is_file():
            raise SapwoodError(
                f"{run} is not the directory of a run, of which several can be compared: it has no recipe.yaml. "
                "A field to set is written PATH=VALUE."
            )
    named = {label: Path(run) for label, run in labels([str(Path(run).resolve()) for run in runs]).items()}
    return write_comparison(named, output or Path(runs[0]).absolute().parent / PAGE)
