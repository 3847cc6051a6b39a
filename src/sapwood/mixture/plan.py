"""What will be trained on, in numbers, before it happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError, closest
from sapwood.files import read_json, reading
from sapwood.mixture.domains import Domain, Sizes, domains_of
from sapwood.mixture.limits import allow
from sapwood.mixture.measured import MEASURED_DOCUMENTS
from sapwood.mixture.weights import DEFAULT_EPOCHS, Mixture, Weights, normalised, shares_by_rule, spread, whole
from sapwood.recipe.check import members, named, split_by_topic
from sapwood.recipe.mixture import Shares, Weighting
from sapwood.recipe.schema import Recipe, Stage
from sapwood.recipe.units import show_tokens

Place = tuple[str, ...]
"""Where in the recipe something stands."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage in numbers."""

    name: str
    tokens: int
    """The budget."""
    start: int
    """The position, in sequences from the beginning of the run, of the stage's first sequence."""
    start_tokens: int
    """Tokens of the run before it."""
    sequences: int
    """How many sequences the stage trains on: the budget to within one sequence."""
    sequence_length: int
    """Tokens in each of them."""
    batch_sequences: int
    """Sequences in a full batch."""
    round_sequences: int | None
    """Sequences in a round, in whole batches; None where the stage is one round."""
    mixture: Mixture
    """The mixture at the start of the stage."""
    counts: dict[str, int]
    """Sequences of each domain, if the mixture stays as it is; to within one."""

    @property
    def stop(self) -> int:
        """The position after the stage's last sequence."""
        return self.start + self.sequences

    @property
    def stop_tokens(self) -> int:
        """Tokens of the run up to the stage's end."""
        return self.start_tokens + self.sequences * self.sequence_length


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """A domain in numbers, over all stages."""

    domain: Domain
    kind: str | None
    shares: tuple[Fraction, ...]
    """The exact share of each stage's budget, in tokens."""
    tokens: int
    """Tokens over the whole run, if the mixture stays as it is."""

    @property
    def epochs(self) -> float | None:
        """How often the domain is gone through; None where its size is not known."""
        return self.tokens / self.domain.tokens if self.domain.tokens else None


@dataclass(frozen=True, slots=True)
class Plan:
    """A run in numbers, as it would be if no controller moved anything."""

    stages: tuple[StagePlan, ...]
    domains: tuple[DomainPlan, ...]
    refusals: tuple[tuple[Place, str], ...]
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
        return self.stages[-1].stop_tokens

    @property
    def steps(self) -> int:
        """Optimizer steps in the whole run, to within one a round."""
        return sum(-(-stage.sequences // stage.batch_sequences) for stage in self.stages)

    def __str__(self) -> str:
        """The tree of groups, sources and topics, with tokens in every stage and in all, shares and epochs."""
        titles = ["", *(stage.name for stage in self.stages), "tokens", "share", "available", "epochs"]
        rows = [titles]
        groups: dict[str, dict[str, list[DomainPlan]]] = {}
        for part in self.domains:
            groups.setdefault(part.domain.group, {}).setdefault(part.domain.source, []).append(part)
        for group, sources in groups.items():
            rows.append(self._row(group, [part for parts in sources.values() for part in parts]))
            for source, parts in sources.items():
                rows.append(self._row(f"  {source}", parts))
                for part in parts if len(parts) > 1 else ():
                    rows.append(self._row(f"    {part.domain.name.removeprefix(f'{source}/')}", [part]))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        head = f"{show_tokens(self.tokens)} tokens in {self.sequences:,} sequences, about {self.steps:,} steps"
        return "\n".join([head, *lines, *(f"Note: {remark}" for remark in self.remarks)])

    def _row(self, name: str, parts: Sequence[DomainPlan]) -> list[str]:
        shares = [sum(tokens, Fraction(0)) for tokens in zip(*(part.shares for part in parts), strict=True)]
        whole, known = sum(shares, Fraction(0)), [part.domain.tokens for part in parts]
        available = None if None in known else sum(tokens or 0 for tokens in known)
        epochs = f"{float(whole) / available:.2f}" if available else "?"
        of_all = float(100 * whole / sum(stage.tokens for stage in self.stages))
        return [
            *(name, *map(show_tokens, shares), show_tokens(whole), f"{of_all:.4g}%"),
            *("?" if available is None else show_tokens(available), epochs),
        ]

    def stage(self, name: str) -> StagePlan:
        """A stage by name."""
        return next(stage for stage in self.stages if stage.name == name)

    def to_json(self) -> dict[str, Any]:
        """The plan as it stands in `plan.json`."""
        return {
            "sequences": self.sequences,
            "tokens": self.tokens,
            "stages": [
                {
                    "name": stage.name,
                    "tokens": stage.tokens,
                    "start": stage.start,
                    "start_tokens": stage.start_tokens,
                    "sequences": stage.sequences,
                    "sequence_length": stage.sequence_length,
                    "batch_sequences": stage.batch_sequences,
                    "round_sequences": stage.round_sequences,
                    "weights": stage.mixture.to_json(),
                    "counts": stage.counts,
                }
                for stage in self.stages
            ],
            "domains": [
                {
                    "name": part.domain.name,
                    "group": part.domain.group,
                    "source": part.domain.source,
                    "kind": part.kind,
                    "shares": [str(share) for share in part.shares],
                    "tokens": part.tokens,
                    "available": part.domain.tokens,
                    "measured": part.domain.measured,
                    "max_epochs": None if part.domain.max_epochs is None else str(part.domain.max_epochs),
                    "epochs": part.epochs,
                }
                for part in self.domains
            ],
            "remarks": list(self.remarks),
        }

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Plan:
        """Reads what `to_json` wrote; what cannot work is not in it, since such a plan is never written.

        Plans of earlier versions lack shares and limits of epochs.
        """
        stages = tuple(
            StagePlan(
                name=stage["name"],
                tokens=stage["tokens"],
                start=stage["start"],
                start_tokens=stage["start_tokens"],
                sequences=stage["sequences"],
                sequence_length=stage["sequence_length"],
                batch_sequences=stage["batch_sequences"],
                round_sequences=stage["round_sequences"],
                mixture=Mixture.from_json(stage["weights"]),
                counts=dict(stage["counts"]),
            )
            for stage in record["stages"]
        )
        domains = tuple(
            DomainPlan(
                domain=Domain(
                    name=part["name"],
                    group=part["group"],
                    source=part["source"],
                    tokens=part["available"],
                    measured=part["measured"],
                    max_epochs=None if part.get("max_epochs") is None else Fraction(part["max_epochs"]),
                ),
                kind=part["kind"],
                shares=tuple(map(Fraction, part.get("shares", ()))),
                tokens=part["tokens"],
            )
            for part in record["domains"]
        )
        return Plan(stages, domains, (), tuple(record["remarks"]))


def read_plan(path: Path) -> Plan | None:
    """The plan of a run; None where there is none yet. Raises SapwoodError where its file is damaged."""
    if not path.exists():
        return None
    remedy = "Remove it: `sapwood prepare` writes it again."
    record = read_json(path, remedy)
    with reading(path, remedy):
        return Plan.from_json(record)


def make_plan(recipe: Recipe, sizes: Sizes) -> Plan:
    """Turns budgets and shares into sequences.

    `sizes` are what was counted in prepared sources; where a source is not in it, what the recipe expects counts. The
    boundary between stages is placed so that the sum of the budgets up to it is met to within one sequence.
    """
    domains = domains_of(recipe, sizes)
    stages: list[StagePlan] = []
    refusals: list[tuple[Place, str]] = []
    remarks = _unknown(recipe, domains)
    consumed: dict[str, int] = {}
    trained: list[Weights] = []
    budget = start = start_tokens = 0
    for number, stage in enumerate(recipe.stages):
        place = ("stages", str(number))
        length = stage.sequence_length or recipe.sequence_length
        budget += stage.tokens
        sequences = (budget - start_tokens) // length
        if not sequences:
            refusals.append(((*place, "tokens"), f"{stage.tokens} tokens are less than one sequence"))
        mixture, problems = stage_mixture(recipe, stage, domains)
        refusals += [((*place, *inside), message) for inside, message in problems]
        if not mixture.weights:
            continue
        weights, counts, notes, emptied = _foresee(mixture, domains, consumed, length, sequences)
        trained.append(weights)
        remarks += [f"In stage '{stage.name}': {note}" for note in notes]
        refusals += [((*place, "tokens"), message) for message in emptied]
        for name, count in counts.items():
            consumed[name] = consumed.get(name, 0) + count * length
        batch = recipe.training.batch_tokens // length
        every = stage.controller.every
        round_sequences = None if every is None else -(-every.tokens(batch * length) // (batch * length)) * batch
        stages.append(
            StagePlan(
                name=stage.name,
                tokens=stage.tokens,
                start=start,
                start_tokens=start_tokens,
                sequences=sequences,
                sequence_length=length,
                batch_sequences=batch,
                round_sequences=round_sequences,
                mixture=mixture,
                counts=counts,
            )
        )
        start, start_tokens = start + sequences, start_tokens + sequences * length
    parts = tuple(_domain(recipe, stages, trained, domain, consumed) for domain in domains)
    refusals += [
        (("sources", part.domain.source), f"there is nothing to train on, and the plan wants it: '{part.domain.name}'")
        for part in parts
        if part.domain.tokens == 0 and any(part.shares)
    ]
    remarks += _unjudged(recipe, domains, sizes)
    return Plan(tuple(stages), parts, tuple(refusals), (*remarks, *_rounded(recipe, stages), *_epochs(parts)))


def stage_mixture(recipe: Recipe, stage: Stage, domains: Sequence[Domain]) -> tuple[Mixture, list[tuple[Place, str]]]:
    """The mixture with which a stage begins, and what cannot work about it: where in the stage, and why.

    The weight of a domain is the product of the shares of its group, its source and its topic.
    """
    problems: list[tuple[Place, str]] = []
    budget = Fraction(stage.tokens)
    weights: Weights = {}
    by_group = {group: [d for d in domains if d.group == group] for group in recipe.groups}
    groups = _shares(stage.mixture, {name: _tokens(inside) for name, inside in by_group.items()}, budget, by_group)
    for group, share in groups.items():
        sources = members(recipe, group)
        inside = {name: [d for d in domains if d.source == name] for name in sources}
        stated = stage.groups.get(group, recipe.groups[group])
        tokens = {name: _tokens(inside[name]) for name in named(stated) or sources}
        for source, weight in spread(share, _shares(stated, tokens, budget * share, inside)).items():
            topics = {d.name.removeprefix(f"{source}/"): [d] for d in inside[source]}
            if list(topics) == [source]:
                weights[source] = weight
                continue
            stated_topics = stage.topics.get(source, recipe.topics.get(source, Weighting(rule="natural")))
            for topic in named(stated_topics):
                if topic not in topics:
                    where = ("topics", source, topic)
                    problems.append((where, f"'{source}' has no documents of '{topic}'. {closest(topic, topics)}"))
            chosen = {topic: _tokens(topics[topic]) for topic in named(stated_topics) or topics if topic in topics}
            if not problems:
                shares = _shares(stated_topics, chosen, budget * weight, topics)
                weights |= {f"{source}/{topic}": amount for topic, amount in spread(weight, shares).items()}
    ordered = {domain.name: weights[domain.name] for domain in domains if domain.name in weights}
    return Mixture(ordered, {domain.source: domain.group for domain in domains}), problems


def _shares(
    stated: Shares, tokens: Mapping[str, int | None], budget: Fraction, parts: Mapping[str, Sequence[Domain]]
) -> Weights:
    """Shares of 1, as the recipe states them or by its rule; where sizes are not known yet, all alike."""
    if not isinstance(stated, Weighting):
        return normalised(stated)
    names = stated.names or list(tokens)
    known = {name: count for name in names if (count := tokens[name]) is not None}
    if len(known) < len(names) or not any(known.values()):
        return normalised(dict.fromkeys(names, Fraction(1)))
    limits = {name: next((part.max_epochs for part in parts[name]), None) for name in names}
    return shares_by_rule(stated.rule, known, budget, limits)


def _tokens(domains: Iterable[Domain]) -> int | None:
    counts = [domain.tokens for domain in domains]
    return None if None in counts else sum(count for count in counts if count is not None)


def _foresee(
    mixture: Mixture, domains: Sequence[Domain], consumed: Mapping[str, int], length: int, sequences: int
) -> tuple[Weights, dict[str, int], list[str], list[str]]:
    """What a stage takes of each domain if its mixture stays: shares, sequences, remarks, and why it cannot be.

    The shares are those of the mixture, but where `max_epochs` ends a domain before the stage.
    """
    due = dict.fromkeys(mixture.weights, Fraction(0))
    notes: list[str] = []
    done = 0
    problem = ""
    while done < sequences and not problem:
        after = f"after {show_tokens(done * length)} tokens"
        spent = {name: consumed.get(name, 0) + int(amount) * length for name, amount in due.items()}
        try:
            allowed = allow(mixture, domains, spent, {}, length, sequences - done)
        except SapwoodError as error:
            problem = f"{after}: {error}"
            break
        if allowed.emptied:
            names = ", ".join(f"'{group}'" for group in allowed.emptied)
            problem = (
                f"{after} of the stage nothing is left in {names} within `max_epochs`. Lower its share, add text, or "
                "raise max_epochs"
            )
        notes += [f"{after} {reason}" for reason in allowed.reasons]
        for name, weight in allowed.mixture.weights.items():
            due[name] += weight * allowed.sequences
        done += allowed.sequences
    weights = {name: amount / done if done else amount for name, amount in due.items()}
    counts = whole(weights, done) if done else dict.fromkeys(due, 0)
    return weights, counts, notes, [problem] if problem else []


def _domain(
    recipe: Recipe, stages: list[StagePlan], trained: list[Weights], domain: Domain, consumed: Mapping[str, int]
) -> DomainPlan:
    return DomainPlan(
        domain=domain,
        kind=recipe.sources[domain.source].kind,
        shares=tuple(
            stage.tokens * weights.get(domain.name, Fraction(0)) for stage, weights in zip(stages, trained, strict=True)
        ),
        tokens=consumed.get(domain.name, 0),
    )


def _unknown(recipe: Recipe, domains: Sequence[Domain]) -> list[str]:
    remarks = []
    for domain in domains:
        if domain.tokens is None:
            remarks.append(f"The size of '{domain.name}' is not known yet: `sapwood prepare` counts it.")
        if domain.source in split_by_topic(recipe) and domain.name == domain.source:
            remarks.append(f"The topics of '{domain.source}' are counted by `sapwood prepare`; here they are together.")
    rules = [stage.mixture for stage in recipe.stages] + [
        *recipe.groups.values(),
        *(shares for stage in recipe.stages for shares in stage.groups.values()),
    ]
    if any(isinstance(shares, Weighting) for shares in rules) and any(domain.tokens is None for domain in domains):
        remarks.append("Shares that follow from sizes are planned as all alike where a size is not known.")
    return remarks


def _unjudged(recipe: Recipe, domains: Sequence[Domain], sizes: Sizes) -> list[str]:
    """Which siblings a controller will never move, since too little of them is held out to measure a change."""
    moved = {
        stage.controller.over: stage.controller.noise for stage in recipe.stages if stage.controller.kind != "static"
    }
    names = {"topics": [d.name for d in domains if d.name != d.source], "sources": [d.source for d in domains]}
    remarks = []
    for over, noise in moved.items():
        needed = MEASURED_DOCUMENTS if noise else 1
        known = {name: sizes.held_out[name] for name in names.get(over, ()) if name in sizes.held_out}
        few = {name: count for name, count in known.items() if count < needed}
        if few:
            listed = ", ".join(f"'{name}' ({count})" for name, count in few.items())
            remarks.append(
                f"The controller cannot measure a change of {listed}, of which fewer than {needed} held-out "
                f"document{'s are' if needed > 1 else ' is'} there: they keep their shares. Raise holdout.share to "
                "have them moved."
            )
    return remarks


def _rounded(recipe: Recipe, stages: Iterable[StagePlan]) -> list[str]:
    """Lengths that are others than the recipe says, because rounds have whole batches, and batches whole sequences."""
    remarks = []
    wanted = recipe.training.batch_tokens
    for stage, written in zip(stages, recipe.stages, strict=False):
        batch, every = recipe.full_batch(stage.name), written.controller.every
        if batch != wanted:
            remarks.append(
                f"Stage '{stage.name}': batches have {show_tokens(batch)} tokens in place of {show_tokens(wanted)}: "
                f"{batch // stage.sequence_length:,} whole sequences of {stage.sequence_length:,}."
            )
        if every is not None and stage.round_sequences is not None:
            length = stage.round_sequences * stage.sequence_length
            if length != every.tokens(batch):
                remarks.append(
                    f"Stage '{stage.name}': rounds have {show_tokens(length)} tokens in place of the {every} of "
                    f"`controller.every`: {length // batch:,} whole batches of {show_tokens(batch)}."
                )
    return list(dict.fromkeys(remarks))


def _epochs(domains: Iterable[DomainPlan]) -> list[str]:
    return [
        f"'{part.domain.name}' is gone through {part.epochs:.1f} times; beyond about {int(DEFAULT_EPOCHS)} epochs "
        "repeated text teaches little (2305.16264)."
        for part in domains
        if part.epochs is not None and part.epochs > DEFAULT_EPOCHS
    ]
