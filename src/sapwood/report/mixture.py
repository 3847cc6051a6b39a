"""The section on the mixture: how the weights and the losses moved, why, and what would have been without."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sapwood.mixture.account import Line, StageAccount
from sapwood.mixture.ledger import Round
from sapwood.mixture.weights import source_of
from sapwood.recipe.mixture import Order
from sapwood.report import multiples, plots
from sapwood.report.aims import aims
from sapwood.report.curriculum import curriculum_families
from sapwood.report.multiples import Family, Node
from sapwood.report.palette import Tone, palette
from sapwood.report.run_view import RunView
from sapwood.report.sections import Missing
from sapwood.report.wording import listed, percent, signed

MOST_ROUNDS = 400
"""More are left to the files of the run, and the page says so."""
_MOVE = re.compile(r"(\d+(?:\.\d+)?) points")
MOST_REASONS = 6
"""More are folded."""


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A round as it stands in the list of reasons."""

    number: int
    stage: str
    start: int
    """In tokens, as is `stop`."""
    stop: int
    move: str
    """The largest move of a share against the round before, in words; empty where there was none."""
    reasons: tuple[str, ...]
    """The largest moves first."""
    shares: tuple[tuple[str, str], ...]
    """By source."""
    topics: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """By topic inside each divided source."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a domain, or a source, was trained on against what it would have been by the recipe's own mixture."""

    name: str
    static: str
    trained: str
    """Shares of the tokens of the stage so far."""
    tokens: str
    points: str
    bar: float
    """From -100 to 100: the largest move of a source, or of a domain, in the stage has that length."""


@dataclass(frozen=True, slots=True)
class StageMoved:
    """The counterfactual of a stage."""

    name: str
    sources: tuple[Moved, ...]
    topics: tuple[tuple[str, tuple[Moved, ...]], ...]
    """By divided source."""


def mixture_section(facts: RunView) -> dict[str, Any]:
    """The weights of the rounds, the losses they follow, the reasons for them, and what they changed."""
    rounds = facts.ledger.rounds
    if not rounds:
        return {"missing": [Missing("No round has been decided yet.", "train")], "figure": None}
    colors = palette(aims(facts.recipe))
    used = {source for entry in rounds for source in entry.mixture.totals(1)}
    total = max(facts.spans[-1].stop, _stop(rounds[-1]))
    shown = rounds[:MOST_ROUNDS]
    moved = [_stage_moved(stage) for stage in facts.account.stages if stage.begun and stage.total.static is not None]
    return {
        "missing": [],
        "figure": plots.mixture(rounds, facts.trained_tokens, total, colors),
        "legend": [(name, tone) for name, tone in colors.items() if name in used],
        "endings": facts.endings,
        "families": list(_families(facts, colors, total)),
        "measured": any(entry.losses for entry in rounds),
        "moved": [stage for stage in moved if stage.sources],
        "unmoved": [stage.name for stage in moved if not stage.sources],
        "orders": _orders(rounds),
        "curricula": curriculum_families(facts.curricula, colors),
        "rounds": [_round_row(entry, before) for entry, before in zip(shown, [None, *shown[:-1]], strict=True)],
        "reasons": MOST_REASONS,
        "more": max(0, len(rounds) - MOST_ROUNDS),
    }


def _families(facts: RunView, colors: Mapping[str, Tone], total: int) -> Iterator[Family]:
    """Groups, sources, and the topics of every divided source, as far as something moves or was measured."""
    rounds = facts.ledger.rounds
    boundaries = [span.start for span in facts.spans if span.start]
    plain = Tone("--ink-soft", 100, False, "circle", "●")
    by_group, by_source = ([_floats(entry.mixture.totals(level)) for entry in rounds] for level in (0, 1))
    several = len(facts.recipe.groups) < len({source for part in by_source for source in part})
    groups = [(name, name, plain) for name in facts.recipe.groups] if several else []
    sources = [(name, name, colors[name]) for name in facts.recipe.sources]
    levels = [("Groups", groups, by_group), ("Sources", sources, by_source)]
    for source in facts.recipe.sources:
        domains = dict.fromkeys(
            name
            for entry in rounds
            for name in [*entry.mixture.weights, *entry.losses]
            if name != source and source_of(name) == source
        )
        names = [(name, name.removeprefix(f"{source}/"), colors[source]) for name in domains]
        levels.append((f"Topics of {source}", names, [_inside(entry, source) for entry in rounds]))
    for title, names, weights in levels:
        siblings: Sequence[Node] = multiples.nodes(names, rounds, weights)
        if multiples.moves(siblings):
            yield multiples.family(title, siblings, boundaries, total, folded=title.startswith("Topics"))


def _inside(entry: Round, source: str) -> dict[str, float]:
    """The shares of a source's topics inside it."""
    weights = {name: weight for name, weight in entry.mixture.weights.items() if source_of(name) == source}
    whole = sum(weights.values())
    return _floats({name: weight / whole for name, weight in weights.items()})


def _floats(weights: Mapping[str, Fraction]) -> dict[str, float]:
    return {name: float(weight) for name, weight in weights.items()}


def _stage_moved(stage: StageAccount) -> StageMoved:
    """The counterfactual; without lines where the mixture was the recipe's own, to within a sequence of each domain."""
    lines = stage.lines
    if max((abs(line.moved or 0) for line in lines), default=0) <= 1:
        return StageMoved(stage.name, (), ())
    divided = [source.name for source in stage.sources if stage.of(source.name)[0].name != source.name]
    return StageMoved(
        name=stage.name,
        sources=_moved(stage, stage.sources, ""),
        topics=tuple((source, _moved(stage, stage.of(source), f"{source}/")) for source in divided),
    )


def _moved(stage: StageAccount, lines: Iterable[Line], prefix: str) -> tuple[Moved, ...]:
    whole = stage.total.trained
    most = max(abs(line.moved or 0) for line in (stage.lines if prefix else stage.sources)) or 1
    return tuple(
        Moved(
            name=line.name.removeprefix(prefix),
            static=percent((line.static or 0) / whole, 2),
            trained=percent(line.trained / whole, 2),
            tokens=signed((line.moved or 0) * stage.sequence_length, 0),
            points=signed(100 * (line.moved or 0) / whole, 2),
            bar=round(100 * (line.moved or 0) / most, 1),
        )
        for line in lines
    )


def _orders(rounds: Iterable[Round]) -> dict[str, list[tuple[str, str]]]:
    """By stage, sources and the order of their documents; a source's topics are all in the same order."""
    found = {}
    for stage, entry in {entry.stage: entry for entry in reversed(list(rounds))}.items():
        sources: dict[str, list[str]] = {}
        for domain in entry.mixture.weights:
            names = sources.setdefault(order_in_words(entry.orders.get(domain, Order())), [])
            names += [] if source_of(domain) in names else [source_of(domain)]
        found[stage] = [(listed(names), words) for words, names in sources.items()]
    return dict(reversed(found.items()))


def order_in_words(order: Order) -> str:
    """In which order documents come: `by perplexity, ascending, in 10 bins with a shuffle inside each`."""
    if order.by == "shuffle":
        return "shuffled"
    score = order.by.replace("_", " ")
    words = f"by {score}, {'ascending' if order.ascending else 'descending'}"
    if order.bins is not None:
        words += f", in {order.bins:,} bin{'' if order.bins == 1 else 's'} with a shuffle inside each"
    if order.first < 1:
        words += f"; a random {_share(order.first)} of the documents so, the others after them, shuffled"
    ends = [
        f"the {_share(share)} with the {which} {score}"
        for share, which in ((order.tails.head, "lowest"), (order.tails.tail, "highest"))
        if share
    ]
    return f"{words}; {listed(ends)} last" if ends else words


def _share(share: Fraction) -> str:
    return f"{float(100 * share):.4g}%"


def _round_row(entry: Round, before: Round | None) -> RoundRow:
    divided = dict.fromkeys(source_of(name) for name in entry.mixture.weights if source_of(name) != name)
    return RoundRow(
        number=entry.index + 1,
        stage=entry.stage,
        start=entry.start_tokens,
        stop=_stop(entry),
        move=_largest_move(entry, before) if before is not None and before.stage == entry.stage else "",
        reasons=tuple(sorted(entry.reasons, key=lambda reason: -_points(reason))),
        shares=_shares(entry.mixture.totals(1)),
        topics=tuple(
            (
                source,
                _shares(
                    {
                        name.removeprefix(f"{source}/"): weight
                        for name, weight in entry.mixture.weights.items()
                        if source_of(name) == source
                    }
                ),
            )
            for source in divided
        ),
    )


def _points(reason: str) -> float:
    """How far a share moves for a reason; rules of several families are told one after the other in the ledger."""
    found = _MOVE.search(reason)
    return float(found[1]) if found else 0.0


def _largest_move(entry: Round, before: Round) -> str:
    weights, old = entry.mixture.weights, before.mixture.weights
    moves = {name: weights.get(name, Fraction(0)) - old.get(name, Fraction(0)) for name in old | weights}
    name = max(moves, key=lambda name: abs(moves[name]))
    return f"{name} {signed(float(100 * moves[name]), 2)} points of the whole" if moves[name] else ""


def _shares(weights: Mapping[str, Fraction]) -> tuple[tuple[str, str], ...]:
    return tuple((name, percent(float(weight))) for name, weight in weights.items())


def _stop(entry: Round) -> int:
    """Tokens of the run up to the end of a round."""
    return entry.start_tokens + entry.sequences * entry.sequence_length
