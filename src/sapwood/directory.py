"""A run directory: where everything of one run lies, and whether its recipe is still the one it was begun with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sapwood.corpus.store import CONTAMINATION, SourceStore
from sapwood.errors import SapwoodError
from sapwood.files import seal_text, write_atomic
from sapwood.manifest import read_manifest
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
        if self.recipe.exists():
            rounds = Ledger(self.ledger).rounds
            begun = {entry.stage for entry in rounds}
            before = load_recipe(self.recipe)
            changed = [line for line in differences(before, recipe) if not _concerns_later_stage(line, before, begun)]
            if rounds and changed:
                raise SapwoodError(
                    f"The run in {self.root} was begun with another recipe:\n  "
                    + "\n  ".join(changed)
                    + "\nPut these back, or give the run another name."
                )
            if rounds:
                self._refuse_other_texts(before, recipe)
        write_atomic(self.recipe, seal_text(dump_recipe(recipe)))

    def _refuse_other_texts(self, before: Recipe, recipe: Recipe) -> None:
        """Raises SapwoodError where the recipe names other texts than those that the begun run was prepared from.

        Names may change, so what decides is the fingerprints. The files are read only where they are named otherwise.
        """
        from sapwood.corpus.contamination import benchmark_fingerprint
        from sapwood.corpus.ingest import ingested

        for name, source in recipe.sources.items():
            known = before.sources.get(name)
            if known is None or (known.files, known.synthesis) == (source.files, source.synthesis):
                continue
            field, was, now = "files", known.files, source.files
            if known.synthesis != source.synthesis:
                field, was, now = "synthesis", [known.synthesis or "none"], [source.synthesis or "none"]
            elif ingested(self.corpus(name), source, recipe.corpus.normalise):
                continue
            raise SapwoodError(
                f"The run in {self.root} was begun with other texts:\n  sources.{name}.{field}: {', '.join(was)} -> "
                f"{', '.join(now)}\nPut this back, or give the run another name. Files may lie elsewhere if they are "
                "the same, under the same names below the directory that they share."
            )
        was_checked, checked = before.corpus.decontamination, recipe.corpus.decontamination
        if was_checked and checked and was_checked.benchmarks != checked.benchmarks:
            identity = benchmark_fingerprint(checked.benchmarks)
            for name in recipe.sources:
                done = read_manifest(self.corpus(name).step(CONTAMINATION))
                if done is not None and done.settings["benchmarks"] != identity:
                    raise SapwoodError(
                        f"The run in {self.root} was begun with other items in corpus.decontamination.benchmarks. Put "
                        "them back, or give the run another name."
                    )


def _concerns_later_stage(difference: str, recipe: Recipe, begun: set[str]) -> bool:
    parts = difference.partition(":")[0].split(".")
    if parts[0] != "stages":
        return False
    number = int(parts[1])
    return number >= len(recipe.stages) or recipe.stages[number].name not in begun
