"""Figures for plotly.js, as plain values.

Colours are written as a custom property of the style sheet, perhaps with a strength (`--accent 60%`); the page's script
resolves them, so that a figure follows light and dark mode.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sapwood.mixture.ledger import Round
from sapwood.report import axes
from sapwood.report.axes import Figure, label
from sapwood.report.palette import Tone
from sapwood.report.wording import number, short
from sapwood.runs.metrics import StepMetrics
from sapwood.statistics.change import Change, Metric
from sapwood.statistics.estimate import Estimate

MOST_POINTS = 1200
"""Longer curves are drawn from means of neighbouring steps, which keeps the page small."""
MIXTURE_POINTS = 160
MOST_BOUNDARIES = 12
"""Of more rounds, only those are marked that begin a stage."""
ROW_PIXELS = 46


@dataclass(frozen=True, slots=True)
class SourceLevels:
    """A source's bits per byte before and after; either may be missing."""

    name: str
    before: Estimate | None
    after: Estimate | None


@dataclass(frozen=True, slots=True)
class Trajectory:
    """How a source, or a task, changed during training."""

    name: str
    tokens: tuple[int, ...]
    changes: tuple[Estimate, ...]
    """The improvements since the base model."""


def forest(changes: Sequence[Change], margin: float | None) -> Figure:
    """Changes by one metric with their intervals, one row each, and the lines to the right of which they must stay: no
    change, and the loss of a `margin`."""
    metric = changes[0].metric
    scale, decimals = metric.scale, metric.decimals
    least = None if margin is None else -scale * margin
    points = [scale * change.value for change in changes]
    bounds = [(scale * change.low, scale * change.high) for change in changes]
    marks = [0.0] if least is None else [0.0, least]
    low, high = axes.span([*(end for both in bounds for end in both), *points, *marks])
    arms = [
        (upper - point, point - lower) if math.isfinite(lower) else (0.0, 0.0)
        for point, (lower, upper) in zip(points, bounds, strict=True)
    ]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": points,
        "y": list(range(len(changes))),
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [after for after, _ in arms],
            "arrayminus": [before for _, before in arms],
            "color": "--accent",
            "thickness": 2,
            "width": 5,
        },
        "marker": {
            "size": 9,
            "symbol": ["circle" if change.passed else "diamond-open" for change in changes],
            "color": "--accent",
            "line": {"width": 2, "color": "--accent"},
        },
        "hovertext": [
            f"{label(change.name)}: {number(point, decimals, signed=True)}<br>"
            f"{number(lower, decimals, signed=True)} to {number(upper, decimals, signed=True)}<br>"
            f"{change.verdict or 'not judged'}"
            for change, point, (lower, upper) in zip(changes, points, bounds, strict=True)
        ],
        "hoverinfo": "text",
    }
    lines = [axes.vertical(0.0, "--ink-soft", "solid")]
    notes = [axes.line_note(0.0, "no change", low, high, 0)]
    if least is not None:
        lines.append(axes.vertical(least, "--accent", "dash"))
        notes.append(axes.line_note(least, f"margin {abs(least):g}", low, high, 1))
    return {
        "data": [trace],
        "layout": {
            **axes.layout(ROW_PIXELS * len(changes) + 112, top=44),
            "xaxis": {
                **axes.axis(),
                "range": [low, high],
            },
            "yaxis": axes.name_axis([change.name for change in changes]),
            "shapes": lines,
            "annotations": [*notes, axes.measure(f"change in {metric.unit}; higher is better")],
        },
    }


def levels(rows: Sequence[SourceLevels], colors: Mapping[str, Tone], confidence: float) -> Figure:
    """Bits per byte before (hollow) and after (filled), one row a source."""
    data = [_connection(rows, colors)]
    for after in (False, True):
        found = [(place, row, row.after if after else row.before) for place, row in enumerate(rows)]
        present = [(place, row, estimate) for place, row, estimate in found if estimate is not None]
        arms = [half(estimate, confidence) for *_, estimate in present]
        shades = [colors[row.name].color for _, row, _ in present]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [estimate.value for *_, estimate in present],
                "y": [place + (0.13 if after else -0.13) for place, *_ in present],
                "error_x": {"type": "data", "array": arms, "color": "--ink-soft", "thickness": 1, "width": 3},
                "marker": {
                    "size": 9,
                    "symbol": "circle" if after else "circle-open",
                    "color": shades,
                    "line": {"width": 2, "color": shades},
                },
                "hovertext": [
                    f"{label(row.name)} {'after' if after else 'before'}: {number(estimate.value)} ± {number(arm)}"
                    for (_, row, estimate), arm in zip(present, arms, strict=True)
                ],
                "hoverinfo": "text",
            }
        )
    return {
        "data": data,
        "layout": {
            **axes.layout(ROW_PIXELS * len(rows) + 80, top=12),
            "xaxis": axes.axis(),
            "annotations": [axes.measure("bits per byte; lower is better")],
            "yaxis": axes.name_axis([row.name for row in rows]),
        },
    }


def trajectories(
    rows: Sequence[Trajectory],
    colors: Mapping[str, Tone],
    confidence: float,
    margin: float | None,
    metric: Metric,
) -> Figure:
    """Improvements since the base model over the tokens trained on, with intervals, and the line that they must stay
    above: the loss of a `margin`."""
    scale, decimals = metric.scale, metric.decimals
    least = None if margin is None else -scale * margin
    data = []
    for row in rows:
        tone = colors[row.name]
        changes = [change.scaled(scale) for change in row.changes]
        arms = [half(change, confidence) for change in changes]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": row.tokens,
                "y": [change.value for change in changes],
                "error_y": {"type": "data", "array": arms, "color": tone.color, "thickness": 1.2, "width": 3},
                "line": {"color": tone.color, "width": 2},
                "marker": {"symbol": tone.symbol, "size": 9, "color": tone.color},
                "hovertext": [
                    f"{label(row.name)} at {short(tokens)} tokens: {number(change.value, decimals, signed=True)} "
                    f"± {number(arm, decimals)}"
                    for tokens, change, arm in zip(row.tokens, changes, arms, strict=True)
                ],
                "hoverinfo": "text",
            }
        )
    lines = [axes.horizontal(0.0, "--ink-soft", "solid")]
    notes: list[Figure] = []
    if least is not None:
        lines.append(axes.horizontal(least, "--accent", "dash"))
        notes.append(
            {
                "x": 0.5,
                "xref": "paper",
                "xanchor": "center",
                "y": least,
                "yanchor": "bottom",
                "text": f"margin {abs(least):g}",
                "showarrow": False,
                "font": {"color": "--ink-soft", "size": 12},
            }
        )
    total = max(tokens for row in rows for tokens in row.tokens)
    return {
        "data": data,
        "layout": {
            **axes.layout(300, top=30),
            "xaxis": {**axes.token_axis(total), "range": [-0.04 * total, 1.04 * total], "zeroline": False},
            "yaxis": {**axes.axis(), "zeroline": False},
            "shapes": lines,
            "annotations": [
                axes.panel_note(f"change in {metric.unit}; higher is better", 1.0),
                axes.measure("tokens trained on"),
                *notes,
            ],
        },
    }


def training_curves(steps: Sequence[StepMetrics], stages: Sequence[tuple[str, int]], total: int) -> Figure:
    """Loss, gradient norm and learning rate over tokens; `stages` are names and the tokens at which they begin."""
    panels = ((0.50, 1.0), (0.25, 0.42), (0.0, 0.17))
    titles = ("loss, nats per predicted token", "gradient norm, before clipping", "learning rate")
    raw = _curve(steps, "loss")
    data = [
        {**_line(*raw, "--ink 38%", 1.0), "hovertemplate": "logged %{y:.4g}<extra></extra>"},
        {**_line(*_smoothed(steps), "--accent", 2.4), "hovertemplate": "smoothed %{y:.4g}<extra></extra>"},
        {**_line(*_curve(steps, "gradient_norm"), "--ink 60%", 1.2), "yaxis": "y2"},
        {**_line(*_curve(steps, "learning_rate"), "--ink 60%", 1.8), "yaxis": "y3"},
    ]
    notes = [axes.panel_note(title, top) for title, (_, top) in zip(titles, panels, strict=True)]
    shapes = []
    row, last = 0, -total
    for name, start in stages:
        late = start > 0.6 * total
        row, last = (1 - row if start - last < 0.25 * total else 0), start
        if start:
            shapes.append(axes.vertical(start, "--ink-soft", "dot"))
        notes.append(
            {
                "x": start,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "yshift": 20 + 16 * row,
                "xanchor": "right" if late else "left",
                "text": label(name) + " ▸",
                "showarrow": False,
                "font": {"color": "--ink-soft", "size": 12},
            }
        )
    verticals = {
        f"yaxis{suffix}": {**axes.axis(), "domain": list(panel), "zeroline": False, "nticks": 5, **extra}
        for suffix, panel, extra in (
            ("", panels[0], {}),
            ("2", panels[1], {"rangemode": "tozero"}),
            ("3", panels[2], {"rangemode": "tozero", "exponentformat": "e"}),
        )
    }
    return {
        "data": data,
        "layout": {
            **axes.layout(600, top=64),
            "hovermode": "x",
            "xaxis": {**axes.token_axis(total), "anchor": "y3"},
            **verticals,
            "shapes": shapes,
            "annotations": [*notes, axes.measure("tokens trained on")],
        },
    }


def mixture(rounds: Sequence[Round], reached: int, total: int, colors: Mapping[str, Tone]) -> Figure:
    """The weights of the sources in every round, stacked; `reached` and `total` are in tokens."""
    x: list[int] = []
    owners: list[Round] = []
    for entry in rounds:
        pieces = max(1, round(MIXTURE_POINTS * entry.sequences / max(rounds[-1].stop, 1)))
        x += [_tokens(entry, entry.sequences * piece // pieces) for piece in range(pieces)]
        owners += [entry] * pieces
    stop = _tokens(rounds[-1], rounds[-1].sequences)
    x.append(stop)
    owners.append(rounds[-1])
    totals = {entry.index: entry.mixture.totals(1) for entry in rounds}
    domains = list(dict.fromkeys([*colors, *(name for weights in totals.values() for name in weights)]))
    plain = Tone("--ink", 50, True, "circle", "●")
    data: list[Figure] = []
    for name in domains:
        weights = [round(float(totals[owner.index].get(name, 0)), 6) for owner in owners]
        if not any(weights):
            continue
        tone = colors.get(name, plain)
        fill: Figure = {"fillcolor": tone.color}
        if tone.hatched:
            fill = {"fillpattern": {"shape": "/", "fgcolor": tone.color, "bgcolor": "--paper", "size": 7}}
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "stackgroup": "mixture",
                "x": x,
                "y": weights,
                "line": {"shape": "hv", "width": 1, "color": "--paper"},
                **fill,
                "hovertemplate": f"{label(name)} %{{y:.1%}}<extra></extra>",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": x,
            "y": [1.0] * len(x),
            "marker": {"opacity": 0, "color": "--ink"},
            "text": [_reasons(owner) for owner in owners],
            "hovertemplate": "%{text}<extra></extra>",
        }
    )
    marked = [
        entry for before, entry in pairwise(rounds) if len(rounds) <= MOST_BOUNDARIES or before.stage != entry.stage
    ]
    shapes = [axes.vertical(entry.start_tokens, "--ink-soft", "dot") for entry in marked]
    notes = [axes.panel_note("share of the sequences", 1.0)]
    if reached < stop:
        veil = {"type": "rect", "x0": reached, "x1": total, "y0": 0, "y1": 1, "yref": "paper", "opacity": 0.6}
        shapes.append({**veil, "fillcolor": "--paper", "line": {"width": 0}})
        shapes.append(axes.vertical(reached, "--ink", "solid"))
        notes.append({**axes.line_note(reached, "trained up to here", 0, total, 0), "yshift": 20})
    return {
        "data": data,
        "layout": {
            **axes.layout(340, top=52),
            "hovermode": "x unified",
            "xaxis": axes.token_axis(total),
            "yaxis": {**axes.axis(), "range": [0, 1], "tickformat": ".0%", "zeroline": False},
            "shapes": shapes,
            "annotations": [*notes, axes.measure("tokens trained on")],
        },
    }


def _tokens(entry: Round, sequences: int) -> int:
    """Tokens of the run before a sequence of a round."""
    return entry.start_tokens + sequences * entry.sequence_length


def half(estimate: Estimate, confidence: float) -> float:
    """Half the width of an interval, or 0 where it is unknown."""
    high = estimate.interval(confidence)[1]
    return high - estimate.value if math.isfinite(high) else 0.0


def _connection(rows: Sequence[SourceLevels], colors: Mapping[str, Tone]) -> Figure:
    both = [
        (place, row.before.value, row.after.value)
        for place, row in enumerate(rows)
        if row.before is not None and row.after is not None
    ]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [value for _, before, after in both for value in (before, after, None)],
        "y": [value for place, *_ in both for value in (place - 0.13, place + 0.13, None)],
        "line": {"color": "--ink-soft", "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }


def _line(x: Sequence[float | None], y: Sequence[float | None], color: str, width: float) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines" if len(x) > 1 else "markers",
        "x": x,
        "y": y,
        "line": {"color": color, "width": width},
        "marker": {"color": color},
        "hovertemplate": "%{y:.4g}<extra></extra>",
    }


def _curve(steps: Sequence[StepMetrics], name: str) -> tuple[list[float | None], list[float | None]]:
    """A quantity over tokens, each point the mean of so many steps that there are at most `MOST_POINTS`."""
    tokens = np.array([step.tokens for step in steps], dtype=np.float64)
    values = np.array([getattr(step, name) for step in steps], dtype=np.float64)
    return _thinned(tokens, values)


def _thinned(tokens: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[list[float | None], list[float | None]]:
    points = min(len(tokens), MOST_POINTS)
    starts = np.arange(points) * len(tokens) // max(points, 1)
    widths = np.diff(np.append(starts, len(tokens)))
    x, y = (np.add.reduceat(array, starts) / widths for array in (tokens, values))
    return x.round(1).tolist(), [float(f"{value:.6g}") for value in y]


def _smoothed(steps: Sequence[StepMetrics]) -> tuple[list[float | None], list[float | None]]:
    """The loss as a centred moving mean over a twentieth of the steps, inside each stage by itself."""
    half = max(1, len(steps) // 40)
    x: list[float | None] = []
    y: list[float | None] = []
    for stage in dict.fromkeys(step.stage for step in steps):
        inside = [step for step in steps if step.stage == stage and math.isfinite(step.loss)]
        sums = np.concatenate(([0.0], np.cumsum([step.loss for step in inside])))
        places = np.arange(len(inside))
        reach = np.minimum(half, np.minimum(places, len(inside) - 1 - places))  # the same on both sides, up to the ends
        means = (sums[places + reach + 1] - sums[places - reach]) / (2 * reach + 1)
        tokens, values = _thinned(np.array([step.tokens for step in inside], dtype=np.float64), means)
        x += [*tokens, None]
        y += [*values, None]
    return x, y


def _reasons(entry: Round) -> str:
    """The reasons of a round for a box of limited width; the page lists them in full."""
    text = f"Round {entry.index + 1}, {entry.stage}. " + " ".join(entry.reasons)
    lines = textwrap.wrap(textwrap.shorten(text, 180, placeholder=" …"), 44)
    return "<br>".join(label(line) for line in lines)
