"""A run directory: where everything of one run lies, and whether its recipe is still the one it was begun with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sapwood.corpus.store import SourceStore
from sapwood.errors import SapwoodError
from sapwood.files import seal_text, write_atomic
from sapwood.mixture.ledger import Ledger, restore
from sapwood.recipe import Recipe, differences, dump_recipe, load_recipe


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The paths of one run."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The recipe with every default written out."""
        return self.root / "recipe.yaml"

    @property
    def plan(self) -> Path:
        """The plan in numbers."""
        return self.root / "plan.json"

    @property
    def ledger(self) -> Path:
        """One line a round."""
        return self.root / "ledger.jsonl"

    @property
    def metrics(self) -> Path:
        """One line a step."""
        return self.root / "metrics.jsonl"

    @property
    def left_out(self) -> Path:
        """One line for each document of a batch that was not learnt from (`training.guard`)."""
        return self.root / "left-out.jsonl"

    @property
    def stalls(self) -> Path:
        """What ranks that hung were doing."""
        return self.root / "stalls"

    @property
    def environment(self) -> Path:
        """Versions and hardware."""
        return self.root / "environment.json"

    @property
    def checkpoints(self) -> Path:
        """Saved states."""
        return self.root / "checkpoints"

    @property
    def evaluation(self) -> Path:
        """One JSON file a measured model."""
        return self.root / "evaluation"

    @property
    def suites(self) -> Path:
        """What measured models made of suites of benchmarks: a directory a suite, and in it one a model."""
        return self.evaluation / "suites"

    def suite(self, name: str, label: str) -> Path:
        """What a measured model made of a suite of benchmarks: a directory a task."""
        return self.suites / name / label

    @property
    def model(self) -> Path:
        """The grown model, a normal Hugging Face directory."""
        return self.root / "model"

    def overlap(self, suite: str) -> Path:
        """Which items of a suite stand in documents that were trained on."""
        return self.evaluation / "overlap" / suite

    def synthesis(self, source: str) -> Path:
        """The items made for a source, before they are prepared like any other text."""
        return self.root / "synthesis" / source

    @property
    def data_report(self) -> Path:
        """The page about the documents."""
        return self.root / "data.html"

    def topics(self, taxonomy: str) -> Path:
        """The labels and the classifier of a taxonomy, given by name or as the path of its file."""
        return self.root / "topics" / Path(taxonomy).stem

    def corpus(self, source: str) -> SourceStore:
        """The documents of a source, and what is said of them."""
        return SourceStore(self.root / "corpus" / source)

    def corpora(self, recipe: Recipe) -> dict[str, SourceStore]:
        """The documents of every source of a recipe."""
        return {source: self.corpus(source) for source in recipe.sources}

    def tokens(self, source: str) -> Path:
        """The token shards of a source."""
        return self.root / "tokens" / source

    def divided(self, source: str) -> Path:
        """Which documents of a source belong to each of its topics."""
        return self.root / "domains" / source

    def passes(self, domain: str) -> Path:
        """In which order the documents of a domain come, pass after pass."""
        source, _, topic = domain.partition("/")
        return self.root / "orders" / source / (topic.replace("/", "-") or "all")

    def adopt(self, recipe: Recipe) -> None:
        """Makes `recipe` the run's recipe.

        Before the first round is decided any recipe will do. Afterwards only fields that do not touch the training may
        change, and stages that have not begun; and files may be named otherwise, as long as they are the same. Raises
        SapwoodError with every other difference named.
        """
        if not self.ledger.exists() and any(self.checkpoints.glob("step-*")):
            raise SapwoodError(
                f"{self.ledger} is missing, and the run has checkpoints. {restore(self.ledger)} Or remove "
                f"{self.checkpoints} and {self.metrics}, to train from the beginning."
            )
        ledger = Ledger(self.ledger)
        if ledger.rounds:
            self._refuse_another(self._begun_with(ledger), recipe, {entry.stage for entry in ledger.rounds})
        write_atomic(self.recipe, seal_text(dump_recipe(recipe)))

    def refuse_other_inputs(self, recipe: Recipe, before: Recipe | None = None) -> None:
        """Raises SapwoodError where what the recipe names, beside texts, is not what the run was prepared from.

        With `before`, only what is named otherwise there is looked at.
        """
        from sapwood.corpus.begun import other_inputs

        self._refuse("inputs", other_inputs(recipe, before, self.corpora(recipe), self.topics))

    def _begun_with(self, ledger: Ledger) -> Recipe:
        """The recipe of a begun run."""
        if ledger.recipe is not None:
            return ledger.recipe
        if not self.recipe.exists():
            raise SapwoodError(
                f"{self.recipe} is missing, and the run has begun: nothing else says with which recipe. Restore it "
                "from a copy (training.checkpoints.mirror keeps one), or give the run another name."
            )
        return load_recipe(self.recipe)

    def _refuse_another(self, before: Recipe, recipe: Recipe, begun: set[str]) -> None:
        """Raises SapwoodError where a recipe differs from the one `before` in what the stages that have `begun` need.

        Names of files may change, so what decides is the fingerprints of what is in them.
        """
        from sapwood.corpus.begun import other_texts

        changed = [line for line in differences(before, recipe) if not _concerns_later_stage(line, before, begun)]
        if changed:
            raise SapwoodError(
                f"The run in {self.root} was begun with another recipe:\n  "
                + "\n  ".join(changed)
                + "\nPut these back, or give the run another name."
            )
        where = ", under the same names below the directory that they share"
        self._refuse("texts", other_texts(recipe, before, self.corpora(recipe)), where)
        self.refuse_other_inputs(recipe, before)

    def _refuse(self, kind: str, found: Iterable[str], where: str = "") -> None:
        if changed := list(found):
            raise SapwoodError(
                f"The run in {self.root} was begun with other {kind}:\n  "
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
