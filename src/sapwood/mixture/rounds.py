"""Deciding the next round: which stage it belongs to, how long it is, with which weights, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.mixture.controllers import Family
from sapwood.mixture.controllers.build import decider
from sapwood.mixture.domains import Domain
from sapwood.mixture.gates import early_end
from sapwood.mixture.governor import govern
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.limits import allow
from sapwood.mixture.measured import Losses
from sapwood.mixture.plan import Plan, StagePlan
from sapwood.mixture.weights import Mixture, Weights, normalised, whole
from sapwood.recipe.check import order_of
from sapwood.recipe.schema import Recipe, Stage


@dataclass(frozen=True)
class Proposal:
    """Proposed weights, before what is used up is taken out of them."""

    mixture: Mixture
    reasons: tuple[str, ...]
    states: dict[str, Any] = field(default_factory=dict)


def next_round(recipe: Recipe, plan: Plan, ledger: Ledger, losses: Losses) -> Round | None:
    """The round after the last one in the ledger; None where the run is at its end.

    `losses` are what was measured of the live model after the last round. A gate that ends a stage early is written to
    the ledger. Raises SapwoodError where losses are missing that the stage looks at, and when everything has been gone
    through as often as it may be.
    """
    number, done = progress(plan, ledger)
    if done:
        _require(recipe, recipe.stages[number], plan.stages[number], losses)
    if done and (reason := _gate(recipe, recipe.stages[number], losses)):
        ledger.end_stage(plan.stages[number].name, ledger.decided, reason)
        number, done = number + 1, 0
    if number == len(plan.stages):
        return None
    stage, planned = recipe.stages[number], plan.stages[number]
    before = ledger.of_stage(planned.name)
    proposal = _go_on(recipe, stage, planned, ledger, losses) if before else _begin(stage, planned, ledger, losses)
    deficit = before[-1].deficit_after() if before else {}
    consumed = ledger.consumed_until(ledger.decided)
    wanted = min(planned.sequences - done, planned.round_sequences or planned.sequences)
    domains = [part.domain for part in plan.domains]
    allowed = allow(proposal.mixture, domains, consumed, deficit, planned.sequence_length, wanted)
    sequences = allowed.sequences
    if sequences < wanted and sequences >= planned.batch_sequences:
        sequences -= sequences % planned.batch_sequences  # a round ends a batch; no batch is cut short for it
    return Round(
        index=len(ledger.rounds),
        stage=planned.name,
        start=ledger.decided,
        start_tokens=ledger.tokens_until(ledger.decided),
        sequences=sequences,
        sequence_length=planned.sequence_length,
        mixture=allowed.mixture,
        first=consumed,
        deficit=deficit,
        orders=_orders(recipe, stage, domains),
        reasons=(*proposal.reasons, *allowed.reasons),
        losses=losses,
        states=proposal.states,
        static=whole(planned.mixture.weights, done + sequences),
    )


def is_over(plan: Plan, ledger: Ledger) -> bool:
    """Whether every stage has reached its end."""
    return progress(plan, ledger)[0] == len(plan.stages)


def progress(plan: Plan, ledger: Ledger) -> tuple[int, int]:
    """The number of the stage that the next round belongs to, and how many sequences of it are done."""
    if not ledger.rounds:
        return 0, 0
    name = ledger.rounds[-1].stage
    number = next(number for number, stage in enumerate(plan.stages) if stage.name == name)
    done = sum(entry.sequences for entry in ledger.of_stage(name))
    if name in ledger.ended or done >= plan.stages[number].sequences:
        return number + 1, 0
    return number, done


def _require(recipe: Recipe, stage: Stage, planned: StagePlan, losses: Losses) -> None:
    """Raises SapwoodError where something was not measured that the stage looks at before its next round."""
    gate, names = stage.gate, list[str]()
    if stage.replay is not None or (gate is not None and gate.retention is not None):
        names += recipe.evaluation.retention.domains
    if gate is not None and gate.flat is not None:
        names += recipe.evaluation.gain.domains
    missing = [name for name in names if name not in losses]
    if stage.controller.kind != "static":
        moved = planned.mixture.totals(_LEVELS[stage.controller.over])
        missing += [] if moved.keys() & losses.keys() else sorted(moved)
    if missing:
        listed = ", ".join(f"'{name}'" for name in dict.fromkeys(missing))
        raise SapwoodError(f"The stage '{stage.name}' looks at the losses of {listed}, and none was given.")


def _gate(recipe: Recipe, stage: Stage, losses: Losses) -> str | None:
    if stage.gate is None:
        return None
    wanted = recipe.evaluation
    return early_end(stage.gate, _of(losses, wanted.gain.domains), _of(losses, wanted.retention.domains))


def _of(losses: Losses, names: Iterable[str]) -> Losses:
    """What was measured of some names; of some that the stage does not look at, nothing may have been."""
    return {name: losses[name] for name in names if name in losses}


def _begin(stage: Stage, planned: StagePlan, ledger: Ledger, losses: Losses) -> Proposal:
    shares = ", ".join(f"{group} {float(share):.3g}" for group, share in planned.mixture.totals(0).items())
    reason = f"Stage '{planned.name}' begins with the mixture of the recipe: {shares}."
    previous = ledger.rounds[-1].stage if ledger.rounds else None
    early = (f"Stage '{previous}' ended early: {ledger.ended[previous]}",) if previous in ledger.ended else ()
    states: dict[str, Any] = {}
    if stage.controller.kind != "static":  # it remembers the first measurement, though it moves nothing yet
        controller, consumed = decider(stage.controller), ledger.consumed_until(ledger.decided)
        for _, family in _families(stage, planned, planned.mixture, consumed, losses):
            states[family.name] = controller.decide(family, {}).state
    return Proposal(planned.mixture, (*early, reason), states)


def _go_on(recipe: Recipe, stage: Stage, planned: StagePlan, ledger: Ledger, losses: Losses) -> Proposal:
    """The mixture of the last round, as the controller and the replay governor move it."""
    last = ledger.of_stage(planned.name)[-1]
    if stage.controller.kind == "static":
        proposal = Proposal(planned.mixture, ("The mixture stays as the recipe has it.",))
    else:
        proposal = _controlled(stage, planned, last, ledger, losses)
    if stage.replay is None:
        return proposal
    retention = recipe.evaluation.retention
    mixture = last.mixture if stage.controller.kind == "static" else proposal.mixture
    old = _of(losses, retention.domains)
    decision = govern(stage.replay, mixture.totals(0), old, retention.margin)
    kept = () if stage.controller.kind == "static" else proposal.reasons
    moved = mixture.with_totals(decision.shares, level=0)
    return replace(proposal, mixture=moved, reasons=(*kept, *decision.reasons))


def _controlled(stage: Stage, planned: StagePlan, last: Round, ledger: Ledger, losses: Losses) -> Proposal:
    controller = decider(stage.controller)
    mixture = last.mixture
    reasons: list[str] = []
    states: dict[str, Any] = {}
    consumed = ledger.consumed_until(ledger.decided)
    families = list(_families(stage, planned, mixture, consumed, losses))
    for parent, family in families:
        decision = controller.decide(family, last.states.get(family.name, {}))
        states[family.name] = decision.state
        told = f"{family.name[0].upper()}{family.name[1:]}: " if len(families) > 1 else ""
        reasons += [f"{told}{reason}" for reason in decision.reasons]
        mixture = _moved(mixture, parent, decision.shares, stage.controller.over)
    return Proposal(mixture, tuple(reasons) or ("There is nothing to choose between: the mixture stays.",), states)


_LEVELS = {"groups": 0, "sources": 1, "topics": 2}


def _families(
    stage: Stage, planned: StagePlan, mixture: Mixture, consumed: Mapping[str, int], losses: Losses
) -> Iterable[tuple[str, Family]]:
    """The families of siblings that the stage's controller moves, each with the node above it (`""` for the root)."""
    level = _LEVELS[stage.controller.over]
    now, initial = (_by_parent(part, level) for part in (mixture, planned.mixture))
    for parent, shares in now.items():
        if len(shares) < 2:
            continue
        spent = dict.fromkeys(shares, 0)
        for domain, tokens in consumed.items():
            path = planned.mixture.path(domain)
            if len(path) > level and _child(path, level) in shares and _parent(path, level) == parent:
                spent[_child(path, level)] += tokens
        yield (
            parent,
            Family(
                name=f"{stage.controller.over} of {parent}" if parent else stage.controller.over,
                shares=shares,
                initial=initial[parent],
                measured={name: losses[node] for name in shares if (node := _node(parent, name, level)) in losses},
                tokens=spent,
                budget=planned.sequences * planned.sequence_length,
            ),
        )


def _by_parent(mixture: Mixture, level: int) -> dict[str, Weights]:
    """The shares of the nodes at a level among their siblings, by the node above them."""
    families: dict[str, Weights] = {}
    totals = mixture.totals(level)
    for domain in mixture.weights:
        path = mixture.path(domain)
        if len(path) > level:
            families.setdefault(_parent(path, level), {})[_child(path, level)] = totals[path[level]]
    return {parent: normalised(family) for parent, family in families.items()}


def _parent(path: tuple[str, ...], level: int) -> str:
    return path[level - 1] if level else ""


def _child(path: tuple[str, ...], level: int) -> str:
    """What a node is called among its siblings: topics without their source."""
    return path[level].removeprefix(f"{path[level - 1]}/") if level == _LEVELS["topics"] else path[level]


def _node(parent: str, child: str, level: int) -> str:
    """The node that is called `child` among the siblings below `parent`."""
    return f"{parent}/{child}" if level == _LEVELS["topics"] else child


def _moved(mixture: Mixture, parent: str, shares: Mapping[str, Fraction], over: str) -> Mixture:
    """The mixture with other shares of the siblings below `parent`."""
    level = _LEVELS[over]
    above = mixture.totals(level - 1)[parent] if level else Fraction(1)
    return mixture.with_totals({_node(parent, name, level): share * above for name, share in shares.items()}, level)


def _orders(recipe: Recipe, stage: Stage, domains: Iterable[Domain]) -> dict[str, Any]:
    found = {domain.name: order_of(stage, recipe, domain.source) for domain in domains}
    return {name: order for name, order in found.items() if order.by != "shuffle"}
