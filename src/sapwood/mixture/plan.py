"""What will be trained on, in numbers, before it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sapwood.mixture.apportion import Apportionment
from sapwood.mixture.weights import Weights, leaf_weights
from sapwood.recipe.schema import Recipe, Stage
from sapwood.recipe.units import format_tokens

COMFORTABLE_EPOCHS = 4
"""Up to about four passes, repeated text is worth nearly as much as new text (Muennighoff et al., 2305.16264)."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage in numbers."""

    name: str
    tokens: int
    """The budget."""
    start: int
    """The position, in sequences from the beginning of the run, of the stage's first sequence."""
    sequences: int
    """How many sequences the stage trains on: the budget to within one sequence."""
    weights: Weights
    """The mixture at the start of the stage."""
    counts: dict[str, int]
    """Sequences of each domain, if the mixture stays as it is."""

    @property
    def stop(self) -> int:
        """The position after the stage's last sequence."""
        return self.start + self.sequences


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """A domain in numbers, over all stages."""

    name: str
    group: str
    kind: str | None
    tokens: tuple[Fraction, ...]
    """The exact share of each stage's budget."""
    sequences: int
    """Sequences over the whole run."""
    available: int | None
    """Tokens there are to train on; None where nothing is known yet."""
    measured: bool
    """Whether `available` was counted, or is what the recipe expects."""
    epochs: float | None
    """How often the domain is gone through."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run in numbers."""

    sequence_length: int
    batch_sequences: int
    stages: tuple[StagePlan, ...]
    domains: tuple[DomainPlan, ...]
    refusals: tuple[tuple[tuple[str, ...], str], ...]
    """What cannot work: where in the recipe, and why."""
    remarks: tuple[str, ...]
    """What works, but should be known."""

    @property
    def sequences(self) -> int:
        """Sequences in the whole run."""
        return self.stages[-1].stop

    @property
    def tokens(self) -> int:
        """Tokens in the whole run."""
        return self.sequences * self.sequence_length

    @property
    def batch_tokens(self) -> int:
        """Tokens in a full batch."""
        return self.batch_sequences * self.sequence_length

    def stage_at(self, position: int) -> int:
        """The number of the stage to which the sequence at `position` belongs."""
        return next(number for number, stage in enumerate(self.stages) if position < stage.stop)

    def to_json(self) -> dict[str, Any]:
        """The plan as it stands in `plan.json`."""
        return {
            "sequence_length": self.sequence_length,
            "batch_sequences": self.batch_sequences,
            "sequences": self.sequences,
            "tokens": self.tokens,
            "stages": [
                {
                    "name": stage.name,
                    "tokens": stage.tokens,
                    "start": stage.start,
                    "sequences": stage.sequences,
                    "weights": {name: str(weight) for name, weight in stage.weights.items()},
                    "counts": stage.counts,
                }
                for stage in self.stages
            ],
            "domains": [
                {
                    "name": domain.name,
                    "group": domain.group,
                    "kind": domain.kind,
                    "sequences": domain.sequences,
                    "available": domain.available,
                    "measured": domain.measured,
                    "epochs": domain.epochs,
                }
                for domain in self.domains
            ],
            "remarks": list(self.remarks),
        }


def make_plan(recipe: Recipe, sizes: Mapping[str, int]) -> Plan:
    """Turns budgets and shares into sequences.

    `sizes` are the tokens counted in each prepared source; where a source is not in it, what the recipe expects counts.
    The boundary between stages is placed so that the sum of the budgets up to it is met to within one sequence.
    """
    length = recipe.sequence_length
    stages: list[StagePlan] = []
    budget = start = 0
    for stage in recipe.stages:
        budget += stage.tokens
        sequences = budget // length - start
        weights = stage_weights(recipe, stage)
        counts = Apportionment(weights, sequences).counts(sequences) if sequences else dict.fromkeys(weights, 0)
        stages.append(StagePlan(stage.name, stage.tokens, start, sequences, weights, counts))
        start += sequences
    domains = tuple(
        _domain(recipe, stages, group, source, sizes) for group, shares in recipe.groups.items() for source in shares
    )
    return Plan(
        sequence_length=length,
        batch_sequences=recipe.training.batch_tokens // length,
        stages=tuple(stages),
        domains=domains,
        refusals=tuple(_refusals(recipe, stages, domains)),
        remarks=tuple(_remarks(domains)),
    )


def unavailable(recipe: Recipe) -> list[tuple[tuple[str, ...], str]]:
    """What the recipe asks for that can be planned but not yet carried out: where, and what to write instead."""
    found: list[tuple[tuple[str, ...], str]] = []
    for number, stage in enumerate(recipe.stages):
        for name, order in stage.order.items():
            if order.by != "shuffle":
                place = ("stages", str(number), "order", name)
                found.append((place, f"documents cannot be ordered by {order.by} yet; write {{by: shuffle}}"))
        if stage.controller.kind != "static":
            place = ("stages", str(number), "controller", "kind")
            found.append((place, f"the controller '{stage.controller.kind}' cannot be used yet; write static"))
    return found


def stage_weights(recipe: Recipe, stage: Stage) -> Weights:
    """The weights with which a stage begins."""
    return leaf_weights(stage.mixture, {**recipe.groups, **stage.groups})


def _domain(recipe: Recipe, stages: list[StagePlan], group: str, name: str, sizes: Mapping[str, int]) -> DomainPlan:
    source = recipe.sources[name]
    sequences = sum(stage.counts.get(name, 0) for stage in stages)
    available = sizes.get(name, source.tokens)
    return DomainPlan(
        name=name,
        group=group,
        kind=source.kind,
        tokens=tuple(stage.tokens * stage.weights.get(name, Fraction(0)) for stage in stages),
        sequences=sequences,
        available=available,
        measured=name in sizes,
        epochs=sequences * recipe.sequence_length / available if available else None,
    )


def _refusals(
    recipe: Recipe, stages: list[StagePlan], domains: tuple[DomainPlan, ...]
) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    for number, stage in enumerate(stages):
        if not stage.sequences:
            found.append((("stages", str(number), "tokens"), f"{stage.tokens} tokens are less than one sequence"))
    for domain in domains:
        cap = recipe.sources[domain.name].max_epochs
        needed = domain.sequences * recipe.sequence_length
        if domain.available == 0 and needed:
            found.append(
                (("sources", domain.name), f"there is nothing to train on, and the plan wants {format_tokens(needed)}")
            )
        elif cap is not None and domain.available is not None and needed > cap * domain.available:
            found.append(
                (
                    ("sources", domain.name, "max_epochs"),
                    f"the plan goes through '{domain.name}' {domain.epochs:.2f} times ({format_tokens(needed)} tokens "
                    f"of {format_tokens(domain.available)}), and at most {float(cap):g} is allowed. Lower its share to "
                    f"at most {float(cap * domain.available / needed):.1%} of that, add text, or raise max_epochs",
                )
            )
    return found


def _remarks(domains: tuple[DomainPlan, ...]) -> list[str]:
    remarks = []
    for domain in domains:
        if domain.epochs is not None and domain.epochs > COMFORTABLE_EPOCHS:
            remarks.append(
                f"'{domain.name}' is gone through {domain.epochs:.1f} times; beyond about {COMFORTABLE_EPOCHS} passes "
                "repeated text teaches little (2305.16264)."
            )
        if domain.available is None:
            remarks.append(f"The size of '{domain.name}' is not known yet: `sapwood prepare` counts it.")
    return remarks
