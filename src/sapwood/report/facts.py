"""What a run directory holds, as far as the run has got: the one place where the report reads files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sapwood.corpus.block import QUARANTINE
from sapwood.corpus.store import DOCUMENTS, SELECTION, stores_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.comparison import Comparison
from sapwood.evaluation.result import ADAPTED, BASE, Evaluation, read_evaluation
from sapwood.evaluation.run_comparison import compare_run
from sapwood.files import read_json, read_line, reading
from sapwood.mixture.account import Account, make_account, position_reached
from sapwood.mixture.curriculum import Curriculum, read_curricula
from sapwood.mixture.domains import topic_sizes
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.plan import Plan, read_plan
from sapwood.recipe.check import split_by_topic
from sapwood.recipe.schema import Recipe
from sapwood.recipe.suite import Suite, load_suite
from sapwood.report.wording import count
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest, read_manifest
from sapwood.runs.metrics import StepMetrics, read_metrics

EXAMPLES = 5
"""How many rows of each source's quarantine are read."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a stage lies in the run, in tokens: where it was trained, or else where it is planned."""

    name: str
    start: int
    stop: int
    over: bool
    """Whether every round of it was decided, or a gate ended it."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the run directory says. What is not there yet is None or empty."""

    recipe: Recipe
    run: RunDirectory
    plan: Plan | None
    ledger: Ledger
    steps: tuple[StepMetrics, ...]
    documents: dict[str, Manifest]
    """What was read of every source."""
    selection: dict[str, Manifest]
    """What became of every source's documents."""
    quarantine: dict[str, tuple[dict[str, Any], ...]]
    """The first rows that could not be used, by source."""
    tokens: dict[str, Manifest]
    """The manifests of the token shards, by source."""
    topics: dict[str, dict[str, int]]
    """Tokens to train on by topic, of every source that is divided."""
    base: Evaluation | None
    model: Evaluation | None
    between: tuple[Evaluation, ...]
    """Evaluations during training, in its order."""
    suites: tuple[Suite, ...]
    """The suites of benchmarks that the recipe names."""
    comparisons: tuple[Comparison, ...]
    """Checkpoints and the adapted model against the base model, by suite."""
    unread: str
    """Why the results of benchmarks cannot be compared; empty where they can."""
    environment: dict[str, Any]

    @property
    def last(self) -> StepMetrics | None:
        """The last step that was logged."""
        return self.steps[-1] if self.steps else None

    @property
    def position(self) -> int:
        """Sequences trained on so far."""
        return position_reached(self.ledger, self.last)

    @property
    def trained_tokens(self) -> int:
        """Tokens trained on so far."""
        return self.ledger.tokens_until(self.position)

    @property
    def finished(self) -> bool:
        """Whether training reached the end of the plan, to which stages may have been added since."""
        return self.plan is not None and self.position >= self.ledger.decided and all(span.over for span in self.spans)

    @cached_property
    def account(self) -> Account:
        """The run in tokens."""
        return make_account(
            self.recipe,
            plan=self.plan,
            ledger=self.ledger,
            last=self.last,
            tokens=self.tokens,
            topics=self.topics,
        )

    @cached_property
    def curricula(self) -> list[Curriculum]:
        """What became of the orders by a score."""
        return read_curricula(self.run, self.ledger, self.position)

    @cached_property
    def spans(self) -> list[Span]:
        """All stages, one behind the other. A stage that a gate ended early is followed by the next one at once."""
        planned = {stage.name: stage.sequences for stage in (self.plan.stages if self.plan else ())}
        lengths = {stage.name: stage.sequence_length for stage in (self.plan.stages if self.plan else ())}
        found: list[Span] = []
        start = 0
        for name in dict.fromkeys([*planned, *(entry.stage for entry in self.ledger.rounds)]):
            rounds = self.ledger.of_stage(name)
            done = sum(entry.sequences for entry in rounds)
            ended = name in self.ledger.ended or (name in planned and done >= planned[name])
            sequences = done if ended else max(done, planned.get(name, 0))
            length = rounds[0].sequence_length if rounds else lengths[name]
            found.append(Span(name, start, start + sequences * length, ended))
            start = found[-1].stop
        return found

    @property
    def endings(self) -> list[str]:
        """That and why gates ended stages."""
        return [
            f"Stage '{stage.name}' was ended by its gate after {count(stage.total.trained * stage.sequence_length)} of "
            f"{count(stage.total.planned * stage.sequence_length)} tokens. {stage.ended}"
            for stage in self.account.stages
            if stage.ended
        ]

    @property
    def benchmarks(self) -> list[Comparison]:
        """The adapted model against the base model, suite by suite."""
        return [comparison for comparison in self.comparisons if comparison.model == ADAPTED]

    @property
    def unmeasured(self) -> list[tuple[str, str]]:
        """Suite and task of every demand of the suites for which there is no result of both models."""
        found = {comparison.suite: comparison.tasks for comparison in self.benchmarks}
        return [
            (suite.name, task)
            for suite in self.suites
            for task in suite.tasks
            if suite.aim(task) is not None and task not in found.get(suite.name, {})
        ]

    def tokens_of(self, label: str) -> int | None:
        """Tokens on which the model of an evaluation was trained; None where no file says."""
        known = {f"step-{step.step:08}": step.tokens for step in self.steps}
        return {**known, **{item.label: item.tokens for item in self.evaluations}}.get(label)

    @property
    def evaluations(self) -> list[Evaluation]:
        """All there are, from the base model to the adapted model."""
        return [item for item in (self.base, *self.between, self.model) if item is not None]


def read_facts(recipe: Recipe, run: Path) -> Facts:
    """Reads the directory of a run of `recipe`.

    Raises SapwoodError when its ledger was changed by hand.
    """
    directory = RunDirectory(run)
    stores = stores_of(directory, recipe)
    suites, comparisons, unread = _benchmarks(recipe, directory)
    between = sorted(
        (read_evaluation(path) for path in directory.evaluation.glob("step-*.json")), key=lambda item: item.tokens
    )
    return Facts(
        recipe=recipe,
        run=directory,
        plan=read_plan(directory.plan),
        ledger=Ledger(directory.ledger, writable=False),
        steps=tuple(read_metrics(directory.metrics)),
        documents=_manifests((name, store.step(DOCUMENTS)) for name, store in stores.items()),
        selection=_manifests((name, store.step(SELECTION)) for name, store in stores.items()),
        quarantine={name: _first_lines(store.step(DOCUMENTS) / QUARANTINE) for name, store in stores.items()},
        tokens=_manifests((name, directory.tokens(name)) for name in recipe.sources),
        topics={name: topic_sizes(directory.divided(name)) for name in split_by_topic(recipe)},
        base=_evaluation(directory.evaluation / f"{BASE}.json"),
        model=_evaluation(directory.evaluation / f"{ADAPTED}.json"),
        between=tuple(between),
        suites=suites,
        comparisons=comparisons,
        unread=unread,
        environment=_if_there(directory.environment, "train") or {},
    )


def _benchmarks(recipe: Recipe, run: RunDirectory) -> tuple[tuple[Suite, ...], tuple[Comparison, ...], str]:
    """The suites, what became of them, and why that cannot be said."""
    suites: tuple[Suite, ...] = ()
    try:
        suites = tuple(load_suite(reference) for reference in recipe.evaluation.suites)
        return suites, tuple(compare_run(recipe, run)), ""
    except SapwoodError as error:
        return suites, (), str(error)


def _manifests(directories: Iterable[tuple[str, Path]]) -> dict[str, Manifest]:
    found = ((name, read_manifest(path)) for name, path in directories)
    return {name: manifest for name, manifest in found if manifest is not None}


def _evaluation(path: Path) -> Evaluation | None:
    return read_evaluation(path) if path.exists() else None


def _if_there(path: Path, verb: str) -> dict[str, Any] | None:
    return dict(read_json(path, f"Remove it: `sapwood {verb}` writes it again.")) if path.exists() else None


def _first_lines(path: Path) -> tuple[dict[str, Any], ...]:
    """The first rows of a quarantine, which may be large."""
    if not path.exists():
        return ()
    with reading(path, "Remove it: only the report reads it."), path.open("rb") as file:
        return tuple(read_line(line) for line in itertools.islice(file, EXAMPLES) if line.endswith(b"\n"))
