"""The page about merged weights: gain against retention, every point of it measured."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from sapwood.evaluation.gate import mean_change
from sapwood.evaluation.merged import Point
from sapwood.files import write_atomic
from sapwood.recipe.schema import Recipe
from sapwood.report.aims import AIMS
from sapwood.report.axes import Figure
from sapwood.report.html import render
from sapwood.report.palette import Tone, palette
from sapwood.report.plane import Place, Route, plane
from sapwood.report.verdict import SIGNS
from sapwood.statistics.change import BITS_PER_BYTE

PAGE = "merge.html"
CAUTION = (
    "Merging does not reliably mitigate forgetting (arXiv 2510.17776): go by what was measured here. "
    "The best of many points looks better on these documents than it is."
)

_TITLES = [("curve", "Gain against retention"), ("points", "Every point"), ("last", "Against the last weights")]


def write_merge_page(recipe: Recipe, run: Path, points: Sequence[Point]) -> Path:
    """Writes `run/merge.html` about the points measured so far, and returns its path."""
    legend = palette(dict.fromkeys((point.name for point in points), "gain"))
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
    """Mean changes of gain over those of retention, a line from the base model for each kind of merged weights.

    None where the recipe does not judge both.
    """
    placed = [(point, place) for point in points if (place := _place(point)) is not None]
    if not placed:
        return None
    routes = [
        Route(colors[name], [place for _, place in group])
        for name, group in groupby(placed, key=lambda item: item[0].name)
    ]
    return plane(routes, confidence=confidence, margin=margin, metric=BITS_PER_BYTE)


def _place(point: Point) -> Place | None:
    kept, gained = mean_change(point.since_backbone, "retention"), mean_change(point.since_backbone, "gain")
    if kept is None or gained is None:
        return None
    return Place(f"{point.name}, share {point.share:g}", kept, gained, f"{point.met} demands met")
