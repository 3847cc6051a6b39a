"""The plane of gain and retention: what a model gained over what it lost, of one or of many models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sapwood.report import axes
from sapwood.report.axes import Figure, label
from sapwood.report.palette import Tone
from sapwood.report.plots import half
from sapwood.report.wording import number
from sapwood.statistics.change import Metric
from sapwood.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model lies."""

    name: str
    kept: Estimate
    """The mean improvement since the base model in what is to be kept, and `gained` in what is to be gained."""
    gained: Estimate
    remark: str
    note: str = ""
    """What stands beside its mark; empty for nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """A line from the base model through models, in their order."""

    tone: Tone
    places: Sequence[Place]


def plane(routes: Sequence[Route], *, confidence: float, margin: float, metric: Metric) -> Figure:
    """Routes from the base model at the origin, with intervals both ways; the `margin` is the loss that is allowed."""
    unit, decimals, least = metric.unit, metric.decimals, -metric.scale * margin
    routes = [Route(route.tone, [_scaled(place, metric.scale) for place in route.places]) for route in routes]
    bounds = [bound for route in routes for place in route.places for bound in place.kept.interval(confidence)]
    low, high = axes.span([0.0, least, *bounds])
    return {
        "data": [_route(route, confidence, decimals) for route in routes],
        "layout": {
            **axes.layout(440, top=64),
            "xaxis": {**axes.axis(), "range": [low, high], "zeroline": False},
            "yaxis": {**axes.axis(), "zeroline": False},
            "shapes": [
                axes.vertical(0.0, "--ink-soft", "solid"),
                axes.horizontal(0.0, "--ink-soft", "solid"),
                axes.vertical(least, "--accent", "dash"),
            ],
            "annotations": [
                {**axes.panel_note(f"change of what is to be gained, {unit}", 1.0), "yshift": 40},
                axes.line_note(0.0, "no change", low, high, 0),
                axes.line_note(least, f"margin {abs(least):g}", low, high, 1),
                axes.measure(f"change of what is to be kept, {unit}; higher is better in both"),
                *(note for route in routes for note in _notes(route)),
            ],
        },
    }


def _scaled(place: Place, scale: float) -> Place:
    return replace(place, kept=place.kept.scaled(scale), gained=place.gained.scaled(scale))


def _route(route: Route, confidence: float, decimals: int) -> Figure:
    places, tone = route.places, route.tone
    kept = [half(place.kept, confidence) for place in places]
    gained = [half(place.gained, confidence) for place in places]
    texts = [
        f"{label(place.name)}<br>gain {number(place.gained.value, decimals, signed=True)} ± {number(up, decimals)}<br>"
        f"retention {number(place.kept.value, decimals, signed=True)} ± {number(across, decimals)}<br>"
        f"{label(place.remark)}"
        for place, across, up in zip(places, kept, gained, strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [0.0, *(place.kept.value for place in places)],
        "y": [0.0, *(place.gained.value for place in places)],
        "error_x": _arms(kept, tone),
        "error_y": _arms(gained, tone),
        "line": {"color": tone.color, "width": 1.6},
        "marker": {"symbol": ["circle-open", *[tone.symbol] * len(places)], "size": 9, "color": tone.color},
        "hovertext": ["base model", *texts],
        "hoverinfo": "text",
    }


def _arms(halves: Sequence[float], tone: Tone) -> Figure:
    """Arms of the points of a line, and none of the base model at its beginning."""
    return {"type": "data", "array": [0.0, *halves], "color": tone.color, "thickness": 1.2, "width": 3}


def _notes(route: Route) -> Iterator[Figure]:
    """Words beside marks, on the side that the line does not come from."""
    for before, place in pairwise([None, *route.places]):
        assert place is not None
        if place.note:
            from_left = place.kept.value > (before.kept.value if before else 0.0)
            yield {
                "x": place.kept.value,
                "y": place.gained.value,
                "xanchor": "left" if from_left else "right",
                "yanchor": "bottom",
                "xshift": 6 if from_left else -6,
                "yshift": 4,
                "text": label(place.note),
                "showarrow": False,
                "font": {"color": "--ink", "size": 12},
            }
