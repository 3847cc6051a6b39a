"""`sapwood evaluate`: what the model predicted well before, and what it predicts well now."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import Evaluation, read_evaluation
from sapwood.files import read_lines
from sapwood.progress import console
from sapwood.recipe import Recipe


def evaluate(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Measure the backbone and, once it is trained, the grown model on the held-out documents."""
    loaded, run = open_run(recipe, overrides, runs)
    evaluate_base(loaded, run)
    if run.model.exists():
        evaluate_grown(loaded, run)
    else:
        console.print("The model is not trained yet: only the backbone was measured.")


def evaluate_base(recipe: Recipe, run: RunDirectory) -> Evaluation:
    """Measures the backbone, unless that is done."""
    from sapwood.backbone.resolve import default_cache, resolve

    directory = resolve(recipe.model, default_cache())
    return _evaluate(recipe, run, directory, label="base", tokens=0)


def evaluate_grown(recipe: Recipe, run: RunDirectory) -> Evaluation:
    """Measures the grown model as it was exported, unless that is done, and prints what was gained and kept."""
    if not run.model.exists():
        raise SapwoodError(f"There is no grown model in {run.model}: `sapwood train` makes it.")
    steps = read_lines(run.metrics)
    grown = _evaluate(recipe, run, run.model, label="model", tokens=steps[-1]["tokens"] if steps else 0)
    print_verdict(recipe, read_evaluation(run.evaluation / "base.json"), grown)
    return grown


def _evaluate(recipe: Recipe, run: RunDirectory, directory: Path, *, label: str, tokens: int) -> Evaluation:
    from sapwood.backbone.load import load_model
    from sapwood.backbone.resolve import fingerprint_model
    from sapwood.evaluation.yardstick import Yardstick
    from sapwood.training.parallel import Ranks
    from sapwood.training.precision import autocast_type

    ranks = Ranks.join()
    yardstick = Yardstick.open(
        recipe, run.corpora(recipe), directory, autocast_type(recipe.training.precision, ranks.device)
    )
    identity = fingerprint_model(directory)
    path = run.evaluation / f"{label}.json"
    if path.exists():
        done = read_evaluation(path)
        if done.model == identity and done.settings == yardstick.settings:
            console.print(f"The evaluation of {label} is there already.")
            return done
    model = load_model(directory).to(ranks.device)
    evaluation = yardstick.measure(model, label=label, model_fingerprint=identity, tokens=tokens, with_samples=True)
    if ranks.first:
        evaluation.write(run.evaluation)
    return evaluation


def print_verdict(recipe: Recipe, before: Evaluation, after: Evaluation) -> None:
    """Prints one line for every ability the recipe names."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="Bits per byte of held-out text")
    for title in ("", "before", "after", "change", f"{recipe.evaluation.confidence:.0%} interval", "verdict"):
        table.add_column(title, justify="left" if title in ("", "verdict") else "right")
    for finding in judge(recipe, before, after):
        low, high = finding.interval
        table.add_row(
            finding.name,
            f"{finding.before:.3f}",
            f"{finding.after:.3f}",
            f"{finding.change.value:+.3f}",
            f"{low:+.3f} to {high:+.3f}",
            finding.verdict,
            style=None if finding.passed else "yellow",
        )
    Console(stderr=True, highlight=False).print(table)
