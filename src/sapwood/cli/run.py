"""`sapwood run`: everything from the raw files to the report."""

from __future__ import annotations

import sys

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.cli.evaluate import print_verdict
from sapwood.cli.model import print_delimiters, print_traits
from sapwood.cli.plan import print_plan
from sapwood.cli.prepare import AcceptLossesOption, print_prepared
from sapwood.cli.report import print_report
from sapwood.cli.train import STOPPED, print_trained
from sapwood.mixture.plan import Plan


def run(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    runs: RunsOption = RUNS,
    accept_losses: AcceptLossesOption = False,
) -> None:
    """Prepare, train, evaluate and report. Run again, it continues where it stopped."""
    from sapwood.pipeline.evaluate import Evaluated
    from sapwood.pipeline.prepare import Checked, Prepared
    from sapwood.pipeline.report import Reported
    from sapwood.pipeline.run import Phase
    from sapwood.pipeline.run import run as run_all
    from sapwood.training.loop import Trained

    opened = open_run(recipe, overrides, runs)
    stopped = False

    def show(phase: Phase) -> None:
        nonlocal stopped
        match phase:
            case Checked(run=checked, model=model):
                print_delimiters(checked.recipe, model, checked.file)
                print_traits(checked.recipe, model)
            case Prepared():
                print_prepared(phase)
            case Plan():
                print_plan(opened.recipe, phase)
            case Trained():
                print_trained(phase, opened.directory)
                stopped = not phase.finished
            case Evaluated():
                print_verdict(opened.recipe, phase)
            case Reported():
                print_report(phase)

    run_all(opened, accept_losses=accept_losses, reporter=show)
    if stopped:
        sys.exit(STOPPED)
