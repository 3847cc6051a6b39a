"""A run's read model: what its directory says, as typed records, and the one place that opens it for reading.

Each part is read when it is first asked for, and once. What is not there yet is None or empty.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapwood.corpus.block import QUARANTINE
from sapwood.corpus.store import DOCUMENTS, SELECTION, SourceStore, stores_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import ADAPTED, BASE, Evaluation, read_evaluation
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
from sapwood.runs.metrics import StepMetrics, last_step, read_metrics
from sapwood.statistics.change import Change

if TYPE_CHECKING:
    from sapwood.evaluation.comparison import Comparison

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


class RunView:
    """A run, read only. Properties raise SapwoodError where a file is damaged, or the ledger was changed by hand."""

    def __init__(self, recipe: Recipe, directory: RunDirectory) -> None:
        """The run of a recipe in a directory, which may not be there yet."""
        self.recipe = recipe
        self.run = directory

    @cached_property
    def plan(self) -> Plan | None:
        """What was planned when the run began."""
        return read_plan(self.run.plan)

    @cached_property
    def ledger(self) -> Ledger:
        """What was decided, round by round."""
        return Ledger(self.run.ledger, writable=False)

    @cached_property
    def steps(self) -> tuple[StepMetrics, ...]:
        """Every step that was logged."""
        return tuple(read_metrics(self.run.metrics))

    @cached_property
    def last(self) -> StepMetrics | None:
        """The last step that was logged; the log is not read for it."""
        return last_step(self.run.metrics)

    @cached_property
    def documents(self) -> dict[str, Manifest]:
        """What was read of every source."""
        return _manifests((name, store.step(DOCUMENTS)) for name, store in self._stores.items())

    @cached_property
    def selection(self) -> dict[str, Manifest]:
        """What became of every source's documents."""
        return _manifests((name, store.step(SELECTION)) for name, store in self._stores.items())

    @cached_property
    def quarantine(self) -> dict[str, tuple[dict[str, Any], ...]]:
        """The first rows that could not be used, by source."""
        return {name: _first_lines(store.step(DOCUMENTS) / QUARANTINE) for name, store in self._stores.items()}

    @cached_property
    def tokens(self) -> dict[str, Manifest]:
        """The manifests of the token shards, by source."""
        return _manifests((name, self.run.tokens(name)) for name in self.recipe.sources)

    @cached_property
    def topics(self) -> dict[str, dict[str, int]]:
        """Tokens to train on by topic, of every source that is divided."""
        return {name: topic_sizes(self.run.divided(name)) for name in split_by_topic(self.recipe)}

    @cached_property
    def base(self) -> Evaluation | None:
        """The base model on held-out text."""
        return self._evaluation(BASE)

    @cached_property
    def model(self) -> Evaluation | None:
        """The adapted model on held-out text."""
        return self._evaluation(ADAPTED)

    @cached_property
    def between(self) -> tuple[Evaluation, ...]:
        """Evaluations during training, in its order."""
        found = (read_evaluation(path) for path in self.run.evaluation.glob("step-*.json"))
        return tuple(sorted(found, key=lambda item: item.tokens))

    @property
    def evaluations(self) -> list[Evaluation]:
        """All there are, from the base model to the adapted model."""
        return [item for item in (self.base, *self.between, self.model) if item is not None]

    @property
    def changes(self) -> list[Change]:
        """The change of every ability that the recipe names, on held-out text, with its verdict.

        Raises SapwoodError where the base model or the adapted one is not evaluated, or on other texts.
        """
        if self.base is None or self.model is None:
            path = self.run.evaluation / f"{BASE if self.base is None else ADAPTED}.json"
            raise SapwoodError(f"There is no {path}: `sapwood.evaluate` measures the models of a run.")
        return judge(self.recipe, self.base, self.model)

    @cached_property
    def suites(self) -> tuple[Suite, ...]:
        """The suites of benchmarks that the recipe names, as far as they are there."""
        return self._benchmarks[0]

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Checkpoints and the adapted model against the base model, by suite."""
        return self._benchmarks[1]

    @cached_property
    def unread(self) -> str:
        """Why the results of benchmarks cannot be compared; empty where they can."""
        return self._benchmarks[2]

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions and devices, as they were when training last began."""
        path = self.run.environment
        return dict(read_json(path, "Remove it: `sapwood train` writes it again.")) if path.exists() else {}

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
        planned = {stage.name: stage for stage in (self.plan.stages if self.plan else ())}
        found: list[Span] = []
        start = 0
        for name in dict.fromkeys([*planned, *(entry.stage for entry in self.ledger.rounds)]):
            rounds = self.ledger.of_stage(name)
            done = sum(entry.sequences for entry in rounds)
            ended = name in self.ledger.ended or (name in planned and done >= planned[name].sequences)
            sequences = done if ended or name not in planned else max(done, planned[name].sequences)
            length = rounds[0].sequence_length if rounds else planned[name].sequence_length
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

    @cached_property
    def _stores(self) -> dict[str, SourceStore]:
        return stores_of(self.run, self.recipe)

    @cached_property
    def _benchmarks(self) -> tuple[tuple[Suite, ...], tuple[Comparison, ...], str]:
        from sapwood.evaluation.run_comparison import compare_run  # scipy takes longer to load than an account to make

        suites: tuple[Suite, ...] = ()
        try:
            suites = tuple(load_suite(reference) for reference in self.recipe.evaluation.suites)
            return suites, tuple(compare_run(self.recipe, self.run)), ""
        except SapwoodError as error:
            return suites, (), str(error)

    def _evaluation(self, label: str) -> Evaluation | None:
        path = self.run.evaluation / f"{label}.json"
        return read_evaluation(path) if path.exists() else None


def _manifests(directories: Iterable[tuple[str, Path]]) -> dict[str, Manifest]:
    found = ((name, read_manifest(path)) for name, path in directories)
    return {name: manifest for name, manifest in found if manifest is not None}


def _first_lines(path: Path) -> tuple[dict[str, Any], ...]:
    """The first rows of a quarantine, which may be large."""
    if not path.exists():
        return ()
    with reading(path, "Remove it: only the report reads it."), path.open("rb") as file:
        return tuple(read_line(line) for line in itertools.islice(file, EXAMPLES) if line.endswith(b"\n"))
