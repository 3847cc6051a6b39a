"""The page about merged weights: gain against retention, every point of it measured."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from sapwood.evaluation.merged import Point, mean_change
from sapwood.evaluation.statistics import Estimate
from sapwood.files import write_atomic
from sapwood.recipe.schema import Recipe
from sapwood.report import axes
from sapwood.report.aims import AIMS
from sapwood.report.axes import Figure, label
from sapwood.report.html import render
from sapwood.report.plots import half
from sapwood.report.tones import Tone, tones
from sapwood.report.verdict import SIGNS
from sapwood.report.wording import signed

PAGE = "merge.html"
CAUTION = (
    "Merging does not reliably mitigate forgetting (arXiv 2510.17776): go by what was measured here. "
    "The best of many points looks better on these documents than it is."
)

_TITLES = [("curve", "Gain against retention"), ("points", "Every point"), ("last", "Against the last weights")]


def write_merge_page(recipe: Recipe, run: Path, points: Sequence[Point]) -> Path:
    """Writes `run/merge.html` about the points measured so far, and returns its path."""
    legend = tones(dict.fromkeys((point.name for point in points), "gain"))
    part = {
        "points": points,
        "others": [point for point in points if not point.is_reference],
        "legend": legend.items(),
        "figure": curve(points, legend, recipe.evaluation.confidence, recipe.evaluation.retention.margin),
        "caution": CAUTION,
    }
    page = render(
        "merge/page.html.j2",
        _TITLES,
        recipe=recipe,
        parts=dict.fromkeys((name for name, _ in _TITLES), part),
        folder="merge/",
        run=shlex.quote(str(run)),
        AIMS=AIMS,
        SIGNS=SIGNS,
    )
    write_atomic(run / PAGE, page)
    return run / PAGE


def curve(points: Sequence[Point], colors: Mapping[str, Tone], confidence: float, margin: float) -> Figure | None:
    """Mean changes of gain over those of retention, a line from the backbone for each kind of merged weights.

    None where the recipe does not judge both.
    """
    placed = [(point, *_changes(point)) for point in points]
    known = [(point, kept, gained) for point, kept, gained in placed if kept is not None and gained is not None]
    if not known:
        return None
    data = []
    for name, group in groupby(known, key=lambda item: item[0].name):
        line, tone = list(group), colors[name]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [0.0, *(kept.value for _, kept, _ in line)],
                "y": [0.0, *(gained.value for *_, gained in line)],
                "error_x": _arms([half(kept, confidence) for _, kept, _ in line], tone),
                "error_y": _arms([half(gained, confidence) for *_, gained in line], tone),
                "line": {"color": tone.color, "width": 1.6},
                "marker": {"symbol": ["circle-open", *[tone.symbol] * len(line)], "size": 9, "color": tone.color},
                "hovertext": [
                    "backbone",
                    *(
                        f"{label(name)}, share {point.share:g}<br>gain {signed(gained.value)}, "
                        f"retention {signed(kept.value)}<br>{point.met} demands met"
                        for point, kept, gained in line
                    ),
                ],
                "hoverinfo": "text",
            }
        )
    low, high = axes.span([0.0, margin, *(bound for _, kept, _ in known for bound in kept.interval(confidence))])
    return {
        "data": data,
        "layout": {
            **axes.layout(440, top=64),
            "xaxis": {**axes.axis(), "range": [low, high], "zeroline": False},
            "yaxis": {**axes.axis(), "zeroline": False},
            "shapes": [
                axes.vertical(0.0, "--ink-soft", "solid"),
                axes.horizontal(0.0, "--ink-soft", "solid"),
                axes.vertical(margin, "--accent", "dash"),
            ],
            "annotations": [
                {**axes.panel_note("change of what is to be gained, bits per byte", 1.0), "yshift": 40},
                axes.line_note(0.0, "no change", low, high, 0),
                axes.line_note(margin, f"margin {margin:g}", low, high, 1),
                axes.measure("change of what is to be kept, bits per byte; lower is better in both"),
            ],
        },
    }


def _changes(point: Point) -> tuple[Estimate | None, Estimate | None]:
    return mean_change(point.since_backbone, "retention"), mean_change(point.since_backbone, "gain")


def _arms(halves: Sequence[float], tone: Tone) -> Figure:
    """Arms of the points of a line, and none of the backbone at its beginning."""
    return {"type": "data", "array": [0.0, *halves], "color": tone.color, "thickness": 1.2, "width": 3}
