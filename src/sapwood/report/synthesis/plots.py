"""The figures of the synthesis report, as plain values for plotly.js."""

from __future__ import annotations

from collections.abc import Sequence

from sapwood.report import axes
from sapwood.report.axes import Figure
from sapwood.report.wording import percent
from sapwood.synthesis.labelled import ThresholdPoint


def precision_curve(points: Sequence[ThresholdPoint], chosen: float | None, target: float) -> Figure:
    """Precision against the threshold, with its interval, and the share of right items that are kept.

    Points are ascending.
    """
    lows, highs = ([point.interval[end] for point in points] for end in (0, 1))
    x = [point.threshold for point in points]
    band = {"type": "scatter", "mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip"}
    hover = [
        f"at least {point.threshold:g}: {point.kept} kept<br>{percent(point.precision)} right "
        f"({percent(low)} to {percent(high)})<br>{percent(point.recall)} of the right ones kept"
        for point, low, high in zip(points, lows, highs, strict=True)
    ]
    data: list[Figure] = [
        {**band, "x": x, "y": lows},
        {**band, "x": x, "y": highs, "fill": "tonexty", "fillcolor": "--accent 25%"},
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x,
            "y": [point.precision for point in points],
            "line": {"color": "--accent", "width": 2},
            "marker": {"size": 7, "color": "--accent"},
            "hovertext": hover,
            "hoverinfo": "text",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": [point.recall for point in points],
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
