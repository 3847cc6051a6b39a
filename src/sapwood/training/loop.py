"""The loop: what happens from the first token of a run to the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel

from sapwood.device.ranks import Ranks
from sapwood.files import remove_directory
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.measured import Losses
from sapwood.mixture.open import open_stream
from sapwood.mixture.plan import Plan
from sapwood.mixture.rounds import is_over, next_round
from sapwood.mixture.stream import digest
from sapwood.progress import Advance, console, track
from sapwood.recipe import Recipe
from sapwood.recipe.check import is_measured
from sapwood.recipe.schema import Checkpoints
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import StepMetrics, forget_after
from sapwood.training.checkpoint import State
from sapwood.training.engine import Engine
from sapwood.training.garbage import collected_in_step
from sapwood.training.loader import Loader, StepInput
from sapwood.training.log import Entry, Log
from sapwood.training.resume import check_resume
from sapwood.training.saving import Saver
from sapwood.training.schedule import final_rate, learning_rate
from sapwood.training.skipped_steps import note
from sapwood.training.stop import StopRequest
from sapwood.training.track import measured_values, open_trackers, step_values, suite_values
from sapwood.training.watchdog import Watchdog

Measure = Callable[[PreTrainedModel, State, int | None], Losses]
"""Measures the live model between rounds. The number is the tokens after which it was measured before, or None."""
MeasureSuites = Callable[[PreTrainedModel, State], Mapping[str, float]]
"""Puts suites to the live model during a round, and gives what came of every task, by `suite/task`, on the first rank.
What this state of the run was asked before is not asked again."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How a call of `train` ended."""

    state: State
    finished: bool
    """False when it was asked to stop before the end."""


def train(
    recipe: Recipe,
    plan: Plan,
    model_directory: Path,
    run: RunDirectory,
    ranks: Ranks,
    measure: Measure,
    measure_suites: MeasureSuites,
) -> Trained:
    """Trains from the newest checkpoint of `run`, or from the base model, to the end of the plan.

    Every round is written to the ledger before its first token is trained. A round that the ledger already holds is
    taken as it was decided, so that a resumed run follows the same stream.
    """
    timeout = recipe.training.parallel.timeout.amount
    with Watchdog(ranks.rank, run.stalls, timeout) as watchdog, StopRequest() as stop:
        with watchdog.paused():
            loop = Loop(recipe, plan, model_directory, run, ranks, watchdog, stop)
        with loop.trackers if ranks.first else nullcontext():
            progress = track("Training", plan.tokens, done=loop.state.tokens)
            with progress as loop.advance, collected_in_step() as loop.collect:
                finished = loop.run(measure, measure_suites)
            with watchdog.paused():
                loop.saver.finish()
    return Trained(loop.state, finished)


class Loop:
    """The parts of a run, and how far they have come."""

    advance: Advance
    collect: Callable[[int], None]

    def __init__(
        self,
        recipe: Recipe,
        plan: Plan,
        model_directory: Path,
        run: RunDirectory,
        ranks: Ranks,
        watchdog: Watchdog,
        stop: StopRequest,
    ) -> None:
        domains = [part.domain for part in plan.domains]
        names = [domain.name for domain in domains]
        self.recipe, self.plan, self.directory, self.ranks = recipe, plan, run, ranks
        self.watchdog, self.stop = watchdog, stop
        self.ledger = Ledger(run.ledger, writable=ranks.first)
        check_resume(run, self.ledger, plan)
        self.final = final_rate(recipe, plan, model_directory)
        self.stream = open_stream(recipe, run, self.ledger, domains)
        self.names = names
        self.engine = Engine(recipe, model_directory, names, ranks)
        self.saver = Saver(recipe, run, ranks)
        found = self.engine.load_latest(run.checkpoints)
        self.state = found or State()
        self.saved = found.step if found else None
        self.log = Log(run.metrics, names, ranks, self.state.seconds, self.engine.utilisation, self._show)
        self.trackers = open_trackers(recipe, run, self.state.step)
        self.due = self._clock()
        if ranks.first:
            self._forget_later_steps()
        if self.state.step:
            console.print(f"Continuing after step {self.state.step:,}, {self.state.tokens:,} tokens.")
        elif recipe.training.guard.action == "roll-back":
            self._save()  # there must be something to roll back to

    def run(self, measure: Measure, measure_suites: MeasureSuites) -> bool:
        """Trains round after round. Says whether the run came to its end; if not, it was asked to stop."""
        while (entry := self._round(measure)) is not None:
            if not self._train(entry, measure_suites):
                return False
        self.ledger.finish(self.state.position)
        return True

    def _round(self, measure: Measure) -> Round | None:
        """The round that comes next, decided now if it was not before; None when the run is over."""
        entry = self.ledger.at(self.state.position)
        if entry is None and not is_over(self.plan, self.ledger):
            last = self.ledger.rounds[-1].start_tokens if self.ledger.rounds else None
            measured = self.state.position or is_measured(self.recipe)
            with self.watchdog.paused():
                losses = self.engine.measured(lambda model: measure(model, self.state, last)) if measured else {}
                if self.ranks.first:
                    self.trackers.log(self.state.step, measured_values(losses))
                decided = next_round(self.recipe, self.plan, self.ledger, losses) if self.ranks.first else None
                line = self.ranks.tell(decided.to_json() if decided else None)
            entry = Round.from_json(line) if line else None
            if entry is not None:
                self.ledger.append(entry)
        if entry is not None:
            with self.watchdog.paused():
                if self.ranks.first:
                    self.stream.make_epochs(entry)
                self.ranks.wait()
        return entry

    def _train(self, entry: Round, measure_suites: MeasureSuites) -> bool:
        """Trains to the end of a round, or from a place before it once more; False when asked to stop."""
        settings = self.recipe.training
        self.engine.begin_stage(entry.stage, entry.sequence_length)
        loader = Loader(
            self.stream,
            self._steps(entry),
            entry.sequence_length,
            self.ranks,
            settings,
            self.names,
            by_document=self.engine.by_document,
        )
        self.log.start()
        self.watchdog.now(f"waiting for the batch of step {self.state.step + 1:,}")
        try:
            for inputs in loader:
                asked = self._is_asked()
                signs = [self.stop.requested, asked or self.due(self.state.tokens), bool(self.log.bad)]
                self.watchdog.now(f"waiting for the other ranks before step {self.state.step + 1:,}")
                stopping, due, bad, predicted, total = self.ranks.sum([*signs, inputs.predicted, inputs.digest])
                if (bad or due or stopping) and self._is_rolled_back():
                    return True
                if due or stopping:
                    self._save()
                if stopping or (asked and self._ask(measure_suites)):
                    return False
                self._step(entry, inputs, predicted, digest(total))
                self.collect(self.state.step)
                self.watchdog.now(f"waiting for the batch of step {self.state.step + 1:,}")
        finally:
            loader.close()
        self.log.read()
        if not self._is_rolled_back():
            self._save()
        return True

    def _is_asked(self) -> bool:
        """Whether suites are put to the model as it is now: its last step is the first to reach another multiple of
        `evaluation.during.every`. Of a run that is over, the adapted model is asked."""
        during, position = self.recipe.evaluation.during, self.state.position
        if during is None or (entry := self.ledger.at(position - 1)) is None:
            return False
        size = self.plan.stage(entry.stage).batch_sequences
        before = self.ledger.tokens_until(entry.start + (position - 1 - entry.start) // size * size)
        every = during.every.tokens(self.recipe.full_batch(entry.stage))
        return before // every < self.state.tokens // every

    def _ask(self, measure_suites: MeasureSuites) -> bool:
        """Puts suites to the model, whose state is saved. Says whether the run was asked to stop meanwhile."""
        with self.watchdog.paused():
            values = self.engine.measured(lambda model: measure_suites(model, self.state))
            if self.ranks.first:
                self.trackers.log(self.state.step, suite_values(values))
            stopping = bool(self.ranks.sum([self.stop.requested])[0])
        self.log.start()
        return stopping

    def _steps(self, entry: Round) -> Iterator[range]:
        """The positions of the steps that are left of a round."""
        size = self.plan.stage(entry.stage).batch_sequences
        for start in range(self.state.position, entry.stop, size):
            yield range(start, min(start + size, entry.stop))

    def _step(self, entry: Round, inputs: StepInput, predicted: int, read: str) -> None:
        number, tokens = self.state.step + 1, len(inputs.positions) * entry.sequence_length
        middle = self.state.tokens - self.ledger.stage_start(entry.stage) + tokens / 2
        rate = learning_rate(self.recipe, self.plan, entry.stage, middle, self.final)
        numbers = None
        if not self.ledger.leaves_out(inputs.positions):
            self.watchdog.now(f"in step {number:,}")
            numbers = self.engine.step(inputs, predicted, rate, self.state.step)
        self.state = State(number, inputs.positions.stop, self.state.tokens + tokens, self.state.seconds, rate)
        self.log.add(
            Entry(
                step=number,
                positions=inputs.positions,
                tokens=tokens,
                total=self.state.tokens,
                stage=entry.stage,
                learning_rate=rate,
                digest=read,
                waited=inputs.waited,
                numbers=numbers,
            )
        )

    def _is_rolled_back(self) -> bool:
        """Notes the steps that were skipped, and returns to the last checkpoint if the recipe wants that."""
        self.log.read()
        bad, self.log.bad = self.log.bad, []
        if bad:
            guard = self.recipe.training.guard
            note(bad, guard, self.stream, self.directory, write=self.ranks.first)
            if guard.action == "roll-back":
                self.saver.settle()
                reached = self.state.tokens
                self.state = self.engine.load_latest(self.directory.checkpoints) or State()
                self.advance(self.state.tokens - reached)
                if self.ranks.first:
                    self._forget_later_steps()
                    self.trackers.rewind(self.state.step)
                return True
        return False

    def _forget_later_steps(self) -> None:
        """Removes what the log and the suites say of steps after the present one: they will be done again."""
        forget_after(self.directory.metrics, self.state.step)
        for path in self.directory.suites.glob("*/step-*"):
            if path.name > self.state.name:
                remove_directory(path)

    def _save(self) -> None:
        if self.state.step == self.saved:
            return
        self.log.read()
        self.state = replace(self.state, seconds=self.log.seconds)
        self.watchdog.now(f"saving the state after step {self.state.step:,}")
        with self.watchdog.paused():
            self.saver.save(self.state, self.engine.tensors())
        self.saved = self.state.step
        self.due = self._clock()
        self.log.start()

    def _clock(self) -> CheckpointClock:
        entry = self.ledger.at(self.state.position) or self.ledger.at(self.state.position - 1)
        batch = self.recipe.full_batch(entry.stage if entry else self.plan.stages[0].name)
        return CheckpointClock(self.recipe.training.checkpoints, batch, self.state.tokens)

    def _show(self, metrics: StepMetrics, tokens: int) -> None:
        loss = "left out" if metrics.skipped else f"loss {metrics.loss:.3f}"
        self.advance(tokens, f"{loss}, {metrics.tokens_per_second:,.0f} tokens/s")
        self.trackers.log(metrics.step, step_values(asdict(metrics)))


class CheckpointClock:
    """Tells when the next checkpoint is due, counted from `done` tokens of the run."""

    def __init__(self, settings: Checkpoints, batch_tokens: int, done: int) -> None:
        self._every = settings.every
        self._batch_tokens = batch_tokens
        self._since = done
        self._started = time.monotonic()

    def __call__(self, done: int) -> bool:
        """Whether a checkpoint is due now, after `done` tokens of the run."""
        if self._every.unit == "seconds":
            return time.monotonic() - self._started >= self._every.amount
        return done - self._since >= self._every.tokens(self._batch_tokens)
