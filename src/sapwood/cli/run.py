"""`sapwood run`: everything from the raw files to the report."""

from __future__ import annotations

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run, plan_or_refuse, writing
from sapwood.cli.evaluate import evaluate_base, evaluate_grown, print_verdict
from sapwood.cli.model import print_traits
from sapwood.cli.plan import print_plan
from sapwood.cli.prepare import YesOption, prepare_run
from sapwood.cli.report import write_reports
from sapwood.cli.tokenizer import print_delimiters
from sapwood.cli.train import train_run


def run(
    recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS, yes: YesOption = False
) -> None:
    """Prepare, train, evaluate and report. Run again, it continues where it stopped."""
    from sapwood.pipeline.preflight import checked_plan  # it imports what looks into models

    loaded, directory = open_run(recipe, overrides, runs)
    checked_plan(loaded, directory, recipe, "run")
    model = resolve(loaded.model, default_cache())
    print_delimiters(loaded, model, recipe)
    print_traits(loaded, model)
    with writing(directory.root):
        prepare_run(loaded, directory, yes=yes)
        plan = plan_or_refuse(loaded, directory, recipe)
        print_plan(loaded, plan)
        base = evaluate_base(loaded, directory)
        train_run(loaded, plan, directory)
        print_verdict(loaded, directory, base, evaluate_grown(loaded, directory))
        write_reports(loaded, directory)
