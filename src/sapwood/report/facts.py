"""What a run directory holds, as far as the run has got: the one place where the report reads files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from sapwood.corpus.quarantine import QUARANTINE
from sapwood.corpus.store import DOCUMENTS, SELECTION
from sapwood.directory import RunDirectory
from sapwood.evaluation.result import Evaluation, read_evaluation
from sapwood.files import read_json, read_lines
from sapwood.manifest import Manifest, read_manifest
from sapwood.metrics import StepMetrics, read_metrics
from sapwood.mixture.ledger import Ledger
from sapwood.recipe.schema import Recipe

EXAMPLES = 5
"""How many rows of each source's quarantine are read."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the run directory says. What is not there yet is None or empty."""

    recipe: Recipe
    run: RunDirectory
    plan: dict[str, Any] | None
    """`plan.json`, as `Plan.to_json` wrote it."""
    ledger: Ledger
    events: tuple[dict[str, Any], ...]
    """All lines of the ledger, with their times."""
    steps: tuple[StepMetrics, ...]
    documents: dict[str, Manifest]
    """What was read of every source."""
    selection: dict[str, Manifest]
    """What became of every source's documents."""
    quarantine: dict[str, tuple[dict[str, Any], ...]]
    """The first rows that could not be used, by source."""
    tokens: dict[str, Manifest]
    """The manifests of the token shards, by source."""
    base: Evaluation | None
    model: Evaluation | None
    between: tuple[Evaluation, ...]
    """Evaluations during training, in its order."""
    environment: dict[str, Any]

    @cached_property
    def position(self) -> int:
        """Sequences trained on so far."""
        ends = [event["position"] for event in self.events if event["event"] == "finish"]
        return int(max([0, *ends, *(step.position for step in self.steps[-1:])]))

    @property
    def trained_tokens(self) -> int:
        """Tokens trained on so far."""
        return self.position * self.recipe.sequence_length

    @property
    def finished(self) -> bool:
        """Whether training reached the end of the plan, to which stages may have been added since."""
        return self.plan is not None and self.ledger.finished_at == self.plan["sequences"]

    @property
    def evaluations(self) -> list[Evaluation]:
        """All there are, from the backbone to the grown model."""
        return [item for item in (self.base, *self.between, self.model) if item is not None]


def read_facts(recipe: Recipe, run: Path) -> Facts:
    """Reads the directory of a run of `recipe`.

    Raises SapwoodError when its ledger was changed by hand.
    """
    directory = RunDirectory(run)
    stores = directory.corpora(recipe)
    between = sorted(
        (read_evaluation(path) for path in directory.evaluation.glob("step-*.json")), key=lambda item: item.tokens
    )
    return Facts(
        recipe=recipe,
        run=directory,
        plan=read_json(directory.plan) if directory.plan.exists() else None,
        ledger=Ledger(directory.ledger, writable=False),
        events=tuple(read_lines(directory.ledger)),
        steps=tuple(read_metrics(directory.metrics)),
        documents=_manifests((name, store.step(DOCUMENTS)) for name, store in stores.items()),
        selection=_manifests((name, store.step(SELECTION)) for name, store in stores.items()),
        quarantine={name: _first_lines(store.step(DOCUMENTS) / QUARANTINE) for name, store in stores.items()},
        tokens=_manifests((name, directory.tokens(name)) for name in recipe.sources),
        base=_evaluation(directory.evaluation / "base.json"),
        model=_evaluation(directory.evaluation / "model.json"),
        between=tuple(between),
        environment=read_json(directory.environment) if directory.environment.exists() else {},
    )


def _manifests(directories: Iterable[tuple[str, Path]]) -> dict[str, Manifest]:
    found = ((name, read_manifest(path)) for name, path in directories)
    return {name: manifest for name, manifest in found if manifest is not None}


def _evaluation(path: Path) -> Evaluation | None:
    return read_evaluation(path) if path.exists() else None


def _first_lines(path: Path) -> tuple[dict[str, Any], ...]:
    """The first rows of a quarantine, which may be large."""
    if not path.exists():
        return ()
    with path.open("rb") as file:
        return tuple(orjson.loads(line) for line in itertools.islice(file, EXAMPLES) if line.endswith(b"\n"))
