"""Everything from the raw files to the report, and each phase as it is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Union

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.mixture.decided import plan_or_refuse
from sapwood.mixture.plan import Plan
from sapwood.pipeline.evaluate import Evaluated, evaluate_base, evaluate_run
from sapwood.pipeline.handle import Run, open_run, writing
from sapwood.pipeline.prepare import Checked, Prepared, prepare_run
from sapwood.pipeline.report import Reported, write_report
from sapwood.pipeline.train import train_run
from sapwood.recipe import Recipe

if TYPE_CHECKING:
    from sapwood.training.loop import Trained


Phase = Union[Checked, Prepared, Plan, "Trained", Evaluated, Reported]
"""What a phase of a run leaves, in this order."""


def run(
    recipe: Run | Recipe | str | Path,
    *,
    accept_losses: bool = False,
    reporter: Callable[[Phase], None] = lambda phase: None,
) -> Run:
    """Prepares, trains, evaluates and reports. Called again, it continues where it stopped.

    `reporter` is told of each phase when it is done. On Ctrl-C in training the run saves and is returned as it stands:
    its `model` is there once it is finished. `accept_losses` as in `prepare`. Raises SapwoodError, before anything is
    spent, with everything that will stop the run.
    """
    from sapwood.pipeline.preflight import checked_plan

    opened = open_run(recipe)
    settings, place = opened.recipe, opened.directory
    checked_plan(settings, place, opened.file, "run")
    reporter(Checked(opened, resolve(settings.model, default_cache())))
    with writing(place.root):
        reporter(prepare_run(settings, place, accept_losses=accept_losses))
        plan = plan_or_refuse(settings, place, opened.file)
        reporter(plan)
        before = evaluate_base(settings, place)
        trained = train_run(settings, plan, place)
        reporter(trained)
        if trained.finished:
            reporter(evaluate_run(settings, place, before=before))
            reporter(write_report(opened))
    return opened
