"""The figures of the synthesis report, as plain values for plotly.js."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sapwood.report import axes
from sapwood.report.axes import Figure
from sapwood.report.wording import percent


def precision_curve(curve: Sequence[Mapping[str, Any]], chosen: float | None, target: float) -> Figure:
    """Precision against the threshold, with its interval, and the share of right items that are kept.

    `curve` has `threshold`, `precision`, `low`, `high`, `recall` and `kept` of every threshold, ascending.
    """
    x = [point["threshold"] for point in curve]
    band = {"type": "scatter", "mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip"}
    hover = [
        f"at least {point['threshold']:g}: {point['kept']} kept<br>{percent(point['precision'])} right "
        f"({percent(point['low'])} to {percent(point['high'])})<br>{percent(point['recall'])} of the right ones kept"
        for point in curve
    ]
    data: list[Figure] = [
        {**band, "x": x, "y": [point["low"] for point in curve]},
        {**band, "x": x, "y": [point["high"] for point in curve], "fill": "tonexty", "fillcolor": "--accent 25%"},
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x,
            "y": [point["precision"] for point in curve],
            "line": {"color": "--accent", "width": 2},
            "marker": {"size": 7, "color": "--accent"},
            "hovertext": hover,
            "hoverinfo": "text",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": [point["recall"] for point in curve],
            "line": {"color": "--keep", "width": 1.5, "dash": "dot"},
            "hoverinfo": "skip",
        },
    ]
    shapes = [axes.horizontal(target, "--ink-soft", "dash")]
    if chosen is not None:
        shapes.append(axes.vertical(chosen, "--ink-soft", "dash"))
    return {
        "data": data,
        "layout": {
            **axes.layout(320, top=10),
            "xaxis": {**axes.axis(), "zeroline": False},
            "yaxis": {**axes.axis(), "range": [0, 1.02], "tickformat": ".0%", "zeroline": False},
            "shapes": shapes,
            "annotations": [axes.measure("threshold")],
        },
    }
