"""A run directory: where everything of one run lies. Knows paths, and nothing of what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    def skipped(self) -> Path:
        """One line for each document of a batch that was not learnt from (`training.guard`)."""
        return self.root / "skipped.jsonl"

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
        """The adapted model, a normal Hugging Face directory."""
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

    def documents(self, source: str) -> Path:
        """The documents of a source, and what is said of them (`corpus.store.SourceStore`)."""
        return self.root / "corpus" / source

    def tokens(self, source: str) -> Path:
        """The token shards of a source."""
        return self.root / "tokens" / source

    def divided(self, source: str) -> Path:
        """Which documents of a source belong to each of its topics."""
        return self.root / "domains" / source

    def epochs(self, domain: str) -> Path:
        """In which order the documents of a domain come, epoch after epoch."""
        source, _, topic = domain.partition("/")
        return self.root / "orders" / source / (topic.replace("/", "-") or "all")
