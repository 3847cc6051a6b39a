"""How a run stands, from what its files say: how far it is, how fast, what it will still take, and whether it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from sapwood.evaluation.result import ADAPTED, BASE, Evaluation
from sapwood.mixture.ledger import Ledger, LedgerEvent, Round
from sapwood.mixture.plan import Plan
from sapwood.mixture.weights import source_of
from sapwood.report.wording import duration, short
from sapwood.runs.metrics import StepMetrics
from sapwood.statistics.change import BITS_PER_BYTE

RECENT = 32
"""Means and speeds are over so many steps."""
PATIENCE_SECONDS = 120.0
PATIENCE_STEPS = 20
"""A run is quiet when no step came for the longer of both."""
MEASURING_SECONDS = 1800.0
"""Between rounds the held-out texts are measured, and at the end the model is written: then it may take so long."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest checkpoint."""

    step: int
    written: float | None
    """In seconds since 1970; None where that is not known."""


@dataclass(frozen=True, slots=True)
class StageStanding:
    """How far a stage is."""

    name: str
    trained: int
    """Tokens."""
    planned: int
    """Tokens; what was trained, where a gate ended it."""


@dataclass(frozen=True, slots=True)
class DomainStanding:
    """A domain of the mixture, or an evaluation-only source."""

    name: str
    share: float | None
    """Of the current round."""
    loss: float | None
    """Nats per predicted token, the mean of the recent steps that had any of it."""
    before: float | None
    """The same of as many steps before those."""
    bits_per_byte: float | None
    """Of held-out documents, when they were last measured."""
    change: float | None
    """The improvement in it since the base model."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    tokens: int
    """Tokens of the run before it."""
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the files of a run say at a moment."""

    name: str
    model: str
    margin: float | None
    """The loss of bits per byte up to which an ability counts as kept."""
    plan: Plan | None
    ledger: Ledger
    steps: tuple[StepMetrics, ...]
    """The last that were logged."""
    checkpoint: Checkpoint | None
    evaluations: tuple[Evaluation, ...]
    """Those of the base model, of the last step measured and of the adapted model, as far as they are there."""
    written: float | None
    """When the last step was logged, in seconds since 1970."""
    now: float

    @property
    def last(self) -> StepMetrics | None:
        """The last step."""
        return self.steps[-1] if self.steps else None

    @property
    def position(self) -> int:
        """Sequences trained on."""
        return self.last.position if self.last else 0

    @property
    def current(self) -> Round | None:
        """The round that is trained now, or else the last one."""
        begun = [entry for entry in self.ledger.rounds if entry.start <= self.position]
        return begun[-1] if begun else None

    @property
    def finished(self) -> bool:
        """Whether training reached the end of all that was decided, and said so."""
        return self.ledger.finished_at == self.ledger.decided > 0

    @cached_property
    def stages(self) -> list[StageStanding]:
        """The stages of the plan."""
        found = []
        for stage in self.plan.stages if self.plan else ():
            trained = sum(
                min(max(self.position - entry.start, 0), entry.sequences) * entry.sequence_length
                for entry in self.ledger.of_stage(stage.name)
            )
            planned = stage.sequences * stage.sequence_length
            found.append(StageStanding(stage.name, trained, trained if stage.name in self.ledger.ended else planned))
        return found

    @property
    def trained(self) -> int:
        """Tokens trained on."""
        return self.last.tokens if self.last else 0

    @property
    def planned(self) -> int:
        """Tokens of the whole run, without what gates ended."""
        return sum(stage.planned for stage in self.stages)

    @property
    def planned_steps(self) -> int:
        """Steps of the plan, to within one a round."""
        return self.plan.steps if self.plan else 0

    @property
    def tokens_per_second(self) -> float | None:
        """Over the recent steps."""
        recent = self.steps[-RECENT - 1 :]
        if len(recent) < 2:
            return self.last.tokens_per_second if self.last else None
        seconds = recent[-1].seconds - recent[0].seconds
        return (recent[-1].tokens - recent[0].tokens) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """For training alone, at the recent speed."""
        speed = self.tokens_per_second
        return (self.planned - self.trained) / speed if speed and self.plan else None

    @property
    def step_seconds(self) -> float | None:
        """How long a recent step took."""
        recent = self.steps[-RECENT - 1 :]
        times = [after.seconds - before.seconds for before, after in pairwise(recent)]
        return median(times) if times else None

    def mean(self, field: str) -> float | None:
        """The mean of a field of the recent steps; None where none has it."""
        found = [getattr(step, field) for step in self.steps[-RECENT:]]
        values = [value for value in found if value is not None and not math.isnan(value)]
        return sum(values) / len(values) if values else None

    @property
    def state(self) -> str:
        """What the run is doing, in words."""
        if self.finished:
            adapted = any(evaluation.label == ADAPTED for evaluation in self.evaluations)
            return "finished" if adapted else "trained to its end"
        if self.last is None:
            return "not begun: no step was trained yet"
        if self.quiet is None:
            return "measuring between rounds" if self.position == self.ledger.decided else "training"
        silence = f"no step for {duration(self.quiet)}"
        if (
            self.checkpoint is not None
            and self.checkpoint.step == self.last.step
            and self.position < self.ledger.decided
        ):
            return f"stopped and saved after step {self.checkpoint.step:,}? {silence}"
        usual = f" (a step takes {duration(self.step_seconds)})" if self.step_seconds else ""
        return f"stalled or stopped? {silence}{usual}"

    @property
    def quiet(self) -> float | None:
        """For how many seconds there was no step, where that is longer than it should be."""
        if self.finished or self.written is None or self.last is None:
            return None
        silence = self.now - self.written
        patience = max(PATIENCE_SECONDS, PATIENCE_STEPS * (self.step_seconds or 0.0))
        if self.position == self.ledger.decided:
            patience = max(patience, MEASURING_SECONDS)
        return silence if silence > patience else None

    @cached_property
    def domains(self) -> list[DomainStanding]:
        """Domains of the current mixture, the largest first, and then what is only measured."""
        weights = self.current.mixture.weights if self.current else {}
        base, now = self._held_out
        names = sorted(weights, key=lambda name: -weights[name])
        divided = {source_of(name) for name in weights}
        names += [name for name in now or base if name not in weights and name not in divided]
        return [
            DomainStanding(
                name=name,
                share=float(weights[name]) if name in weights else None,
                loss=self._loss(name, self.steps[-RECENT:]),
                before=self._loss(name, self.steps[-2 * RECENT : -RECENT]),
                bits_per_byte=(now or base).get(name),
                change=BITS_PER_BYTE.improvement(base[name], now[name]) if name in now and name in base else None,
            )
            for name in names
        ]

    @property
    def measured_at(self) -> int | None:
        """After how many tokens the held-out documents were last measured."""
        return max((evaluation.tokens for evaluation in self.evaluations), default=None)

    @property
    def _held_out(self) -> tuple[dict[str, float], dict[str, float]]:
        """Bits per byte of the base model, if the texts are the same, and of the model as it was last measured."""
        base = next((found for found in self.evaluations if found.label == BASE), None)
        later = [found for found in self.evaluations if found.label != BASE]
        now = max(later, key=lambda found: found.tokens, default=None)
        if base is not None and now is not None and base.settings != now.settings:
            base = None
        return _bits(base), _bits(now)

    @staticmethod
    def _loss(domain: str, steps: tuple[StepMetrics, ...]) -> float | None:
        found = [loss for step in steps if math.isfinite(loss := step.losses.get(domain, math.nan))]
        return sum(found) / len(found) if found else None

    @cached_property
    def events(self) -> list[Event]:
        """What happened, in order: rounds with their reasons, gates, and steps that were not learnt from."""
        found = [self._event(event) for event in self.ledger.events if event.kind != "begin"]
        return sorted(found, key=lambda event: event.tokens)

    def _event(self, event: LedgerEvent) -> Event:
        if event.kind == "round":
            entry = self.ledger.rounds[event.number]
            return Event(entry.start_tokens, f"round {event.number + 1} ({event.stage})", event.reason)
        tokens = self.ledger.tokens_until(event.position)
        if event.kind == "finish":
            return Event(tokens, "end", f"Trained {short(tokens)} tokens.")
        titles = {
            "gate": f"stage {event.stage} ends early",
            "skip": f"step {event.number:,} skipped",
            "roll-back": f"rolled back from step {event.number:,}",
        }
        return Event(tokens, titles.get(event.kind, event.kind), event.reason)


def _bits(evaluation: Evaluation | None) -> dict[str, float]:
    found = evaluation.domains.items() if evaluation else ()
    return {name: score.bits_per_byte.value for name, score in found if score.documents}
