"""Small multiples: for each of many groups, sources or topics its share and its loss over the tokens, side by side.

They are SVG with the colours of the style sheet, drawn here and not by plotly: there may be dozens, they follow the
width of the page, and they need no script.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sapwood.mixture.ledger import Round
from sapwood.mixture.measured import improvement
from sapwood.report.palette import Tone
from sapwood.report.wording import number, percent, short, signed
from sapwood.statistics.estimate import Estimate

WIDTH, LEFT = 240, 34
SHARE_HEIGHT, LOSS_HEIGHT = 58, 66
_TOP, _BOTTOM = 8, 6


@dataclass(frozen=True, slots=True)
class Node:
    """A group, source or topic over the run."""

    name: str
    tone: Tone
    starts: tuple[int, ...]
    """Tokens before each round."""
    shares: tuple[float, ...]
    """Its share among its siblings in each round; without any where it is never trained on."""
    own: tuple[float, ...]
    """Its share in the first round of the round's stage."""
    losses: tuple[tuple[int, Estimate], ...]
    """Tokens trained on, and the improvement in bits per byte since the base model."""


@dataclass(frozen=True, slots=True)
class ErrorBar:
    """A measured change: a dot and its standard error, at these places of a chart."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: paths and texts at their places, with `y` running downwards."""

    height: int
    top: str
    """What the upper end of the vertical axis means, and `bottom` the lower."""
    bottom: str
    line: str
    area: str
    reference: str
    """A second, dotted line; empty for none."""
    zero: float | None
    """Where 0 lies, when it lies inside."""
    arms: tuple[ErrorBar, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the multiples."""

    name: str
    color: str
    """Its tone, for the style sheet."""
    share_text: str
    loss_text: str
    share: Chart | None
    loss: Chart | None


@dataclass(frozen=True, slots=True)
class Family:
    """Siblings, each on axes of its own: on one for all, those that hardly change are flat lines."""

    title: str
    folded: bool
    panels: tuple[Panel, ...]
    boundaries: tuple[float, ...]
    """Where stages begin, across."""


def nodes(
    names: Iterable[tuple[str, str, Tone]], rounds: Sequence[Round], weights: Sequence[Mapping[str, float]]
) -> list[Node]:
    """The nodes with these names, as the ledger and as the page calls them, and how they look.

    `weights` are the shares among siblings in every round, by name.
    """
    first: dict[str, int] = {}
    for place, entry in enumerate(rounds):
        first.setdefault(entry.stage, place)
    found = []
    for key, name, tone in names:
        trained = any(key in part for part in weights)
        shares = tuple(part.get(key, 0.0) for part in weights) if trained else ()
        own = tuple(weights[first[entry.stage]].get(key, 0.0) for entry in rounds) if trained else ()
        found.append(Node(name, tone, tuple(e.start_tokens for e in rounds), shares, own, tuple(_losses(key, rounds))))
    return found


def family(title: str, siblings: Sequence[Node], boundaries: Sequence[int], total: int, *, folded: bool) -> Family:
    """The panels of siblings; `boundaries` are where stages begin, and `total` is where the run ends, in tokens.

    Shares and losses have an axis of their own in every panel, or those of small topics, and what is to be kept, would
    seem not to move.
    """
    panels = []
    for node in siblings:
        panels.append(
            Panel(
                name=node.name,
                color=node.tone.css,
                share_text=_share_text(node),
                loss_text=_loss_text(node),
                share=_share_chart(node, total) if node.shares else None,
                loss=_loss_chart(node, total) if node.losses else None,
            )
        )
    return Family(title, folded, tuple(panels), tuple(_across(tokens, total) for tokens in boundaries))


def moves(siblings: Iterable[Node]) -> bool:
    """Whether there is anything to see: a share that changes, or a loss that was measured."""
    return any(len(set(node.shares)) > 1 or len(node.losses) > 1 for node in siblings)


def _losses(name: str, rounds: Iterable[Round]) -> Iterable[tuple[int, Estimate]]:
    for entry in rounds:
        measured = entry.losses.get(name)
        if measured is not None and measured.since_base is not None:
            yield entry.start_tokens, measured.since_base
        elif measured is not None and entry.start == 0:
            yield 0, improvement(0.0, 0.0)  # the base model itself


def _range(changes: Sequence[Estimate]) -> tuple[float, float]:
    ends = [0.0, *(change.value for change in changes)]
    ends += [change.value + sign * _arm(change) for change in changes for sign in (-1, 1)]
    low, high = min(ends), max(ends)
    return (low, high) if high - low > 1e-9 else (-0.01, 0.01)


def _arm(change: Estimate) -> float:
    return change.standard_error if math.isfinite(change.standard_error) else 0.0


def _share_text(node: Node) -> str:
    if not node.shares:
        return "evaluation only"
    first, last, low, high = map(percent, (node.shares[0], node.shares[-1], min(node.shares), max(node.shares)))
    if low == high:
        return first
    between = "" if {low, high} == {first, last} else f" ({low} to {high})"
    return f"{first} → {last}{between}"


def _loss_text(node: Node) -> str:
    if not node.losses:
        return ""
    change = node.losses[-1][1]
    error = f" ± {number(change.standard_error)}" if math.isfinite(change.standard_error) else ""
    return f"{signed(change.value)}{error}"


def _share_chart(node: Node, total: int) -> Chart:
    most = max(*node.shares, *node.own)
    floor = SHARE_HEIGHT - _BOTTOM
    line = _steps(node.starts, node.shares, most, total)
    return Chart(
        height=SHARE_HEIGHT,
        top=percent(most, 0 if most >= 0.1 else 1),
        bottom="0",
        line=line,
        area=f"{line}V{floor}H{_across(node.starts[0], total):g}Z",
        reference=_steps(node.starts, node.own, most, total) if node.own != node.shares else "",
        zero=floor,
    )


def _steps(starts: Sequence[int], values: Sequence[float], most: float, total: int) -> str:
    floor = SHARE_HEIGHT - _BOTTOM
    heights = [round(floor - (floor - _TOP) * value / (most or 1.0), 1) for value in values]
    path = f"M{_across(starts[0], total):g} {heights[0]:g}"
    for start, before, height in zip(starts[1:], heights, heights[1:], strict=False):
        if height != before:
            path += f"H{_across(start, total):g}V{height:g}"
    return f"{path}H{WIDTH - 4}"


def _loss_chart(node: Node, total: int) -> Chart:
    low, high = _range([change for _, change in node.losses])

    def down(value: float) -> float:
        return round(_TOP + (LOSS_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    arms = tuple(
        ErrorBar(
            x=_across(tokens, total),
            y=down(change.value),
            low=down(change.value - _arm(change)),
            high=down(change.value + _arm(change)),
            text=f"{node.name} after {short(tokens)} tokens: {signed(change.value)} ± {number(_arm(change))}",
        )
        for tokens, change in node.losses
    )
    return Chart(
        height=LOSS_HEIGHT,
        top=signed(high, 2 if high - low > 0.1 else 3 if high - low > 0.01 else 4),
        bottom=signed(low, 2 if high - low > 0.1 else 3 if high - low > 0.01 else 4),
        line="M" + "L".join(f"{arm.x:g} {arm.y:g}" for arm in arms),
        area="",
        reference="",
        zero=down(0.0),
        arms=arms,
    )


def _across(tokens: float, total: int) -> float:
    return round(LEFT + (WIDTH - 4 - LEFT) * tokens / max(total, 1), 1)
