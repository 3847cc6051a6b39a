"""Whether a recipe is still the one that a run was begun with; how it becomes the run's."""

from __future__ import annotations

from collections.abc import Iterable

from sapwood.corpus.begun import other_inputs, other_texts
from sapwood.corpus.store import stores_of
from sapwood.errors import SapwoodError
from sapwood.files import seal_text, write_atomic
from sapwood.mixture.ledger import Ledger, restore
from sapwood.recipe import Recipe, differences, dump_recipe, load_recipe
from sapwood.runs.directory import RunDirectory


def adopt(run: RunDirectory, recipe: Recipe) -> None:
    """Makes `recipe` the run's recipe.

    Before the first round is decided any recipe will do. Afterwards only fields that do not touch the training may
    change, and stages that have not begun; and files may be named otherwise, as long as they are the same. Raises
    SapwoodError with every other difference named.
    """
    if not run.ledger.exists() and any(run.checkpoints.glob("step-*")):
        raise SapwoodError(
            f"{run.ledger} is missing, and the run has checkpoints. {restore(run.ledger)} Or remove "
            f"{run.checkpoints} and {run.metrics}, to train from the beginning."
        )
    ledger = Ledger(run.ledger)
    if ledger.rounds:
        _refuse_another(run, _begun_with(run, ledger), recipe, {entry.stage for entry in ledger.rounds})
    write_atomic(run.recipe, seal_text(dump_recipe(recipe)))


def refuse_other_inputs(run: RunDirectory, recipe: Recipe, before: Recipe | None = None) -> None:
    """Raises SapwoodError where what the recipe names, beside texts, is not what the run was prepared from.

    With `before`, only what is named otherwise there is looked at.
    """
    _refuse(run, "inputs", other_inputs(recipe, before, stores_of(run, recipe), run.topics))


def _begun_with(run: RunDirectory, ledger: Ledger) -> Recipe:
    """The recipe of a begun run."""
    if ledger.recipe is not None:
        return ledger.recipe
    if not run.recipe.exists():
        raise SapwoodError(
            f"{run.recipe} is missing, and the run has begun: nothing else says with which recipe. Restore it "
            "from a copy (training.checkpoints.mirror keeps one), or give the run another name."
        )
    return load_recipe(run.recipe)


def _refuse_another(run: RunDirectory, before: Recipe, recipe: Recipe, begun: set[str]) -> None:
    """Raises SapwoodError where a recipe differs from the one `before` in what the stages that have `begun` need.

    Names of files may change, so what decides is the fingerprints of what is in them.
    """
    changed = [line for line in differences(before, recipe) if not _concerns_later_stage(line, before, begun)]
    if changed:
        raise SapwoodError(
            f"The run in {run.root} was begun with another recipe:\n  "
            + "\n  ".join(changed)
            + "\nPut these back, or give the run another name."
        )
    where = ", under the same names below the directory that they share"
    _refuse(run, "texts", other_texts(recipe, before, stores_of(run, recipe)), where)
    refuse_other_inputs(run, recipe, before)


def _refuse(run: RunDirectory, kind: str, found: Iterable[str], where: str = "") -> None:
    if changed := list(found):
        raise SapwoodError(
            f"The run in {run.root} was begun with other {kind}:\n  "
            + "\n  ".join(changed)
            + "\nPut these back, or give the run another name. Files may lie elsewhere if they are the same"
            f"{where}."
        )


def _concerns_later_stage(difference: str, recipe: Recipe, begun: set[str]) -> bool:
    parts = difference.partition(":")[0].split(".")
    if parts[0] != "stages":
        return False
    number = int(parts[1])
    return number >= len(recipe.stages) or recipe.stages[number].name not in begun
