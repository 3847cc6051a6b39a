"""The figures of the data report, as plain values for plotly.js."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sapwood.report import axes
from sapwood.report.axes import Figure, label
from sapwood.report.wording import count, percent, short

ROW_PIXELS = 40


def stacked(rows: Mapping[str, Mapping[str, float]], colors: Mapping[str, str], unit: str) -> Figure:
    """Shares of each row, side by side along a bar: `rows` are amounts by part, `colors` those of the parts."""
    names = list(rows)
    totals = {name: sum(parts.values()) or 1 for name, parts in rows.items()}
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": list(range(len(names))),
            "x": [rows[name].get(part, 0) / totals[name] for name in names],
            "marker": {"color": color, "line": {"width": 0.5, "color": "--paper"}},
            "hovertext": [
                f"{label(name)}: {label(part)}<br>{count(rows[name].get(part, 0))} {unit}, "
                f"{percent(rows[name].get(part, 0) / totals[name])}"
                for name in names
            ],
            "hoverinfo": "text",
        }
        for part, color in colors.items()
    ]
    return {
        "data": data,
        "layout": {
            **axes.layout(ROW_PIXELS * len(names) + 70, top=10),
            "barmode": "stack",
            "bargap": 0.35,
            "xaxis": {**axes.axis(), "range": [0, 1], "tickformat": ".0%", "zeroline": False},
            "yaxis": axes.name_axis(names),
            "annotations": [axes.measure(f"share of the {unit}")],
        },
    }


def shades(kept: Sequence[str], aside: Sequence[str]) -> dict[str, str]:
    """A colour for each part: greens for what is kept, two at most; greys for what is filtered, by the order."""
    return {
        **dict(zip(kept, ("--accent", "--accent 50%"), strict=False)),
        **{part: f"--keep {90 - round(65 * n / max(1, len(aside) - 1))}%" for n, part in enumerate(aside)},
    }


def distribution(values: Mapping[str, Sequence[float]], title: str, *, log: bool = False) -> Figure:
    """How values are spread, one row a name: the middle half as a bar, the range from 1% to 99%, and the median."""
    names = [name for name, found in values.items() if len(found)]
    points = {name: np.quantile(np.array(values[name]), [0.01, 0.25, 0.5, 0.75, 0.99]).tolist() for name in names}
    data: list[Figure] = []
    for width, low, high, color in ((3, 0, 4, "--keep 60%"), (11, 1, 3, "--accent 60%")):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [value for name in names for value in (points[name][low], points[name][high], None)],
                "y": [value for row in range(len(names)) for value in (row, row, None)],
                "line": {"width": width, "color": color},
                "hoverinfo": "skip",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [points[name][2] for name in names],
            "y": list(range(len(names))),
            "marker": {"size": 9, "color": "--ink", "symbol": "line-ns", "line": {"width": 2, "color": "--ink"}},
            "hovertext": [
                f"{label(name)}: median {short(points[name][2])}<br>middle half {short(points[name][1])} to "
                f"{short(points[name][3])}<br>1% to 99%: {short(points[name][0])} to {short(points[name][4])}"
                for name in names
            ],
            "hoverinfo": "text",
        }
    )
    return {
        "data": data,
        "layout": {
            **axes.layout(ROW_PIXELS * len(names) + 80, top=10),
            "xaxis": {**axes.axis(), "zeroline": False, **({"type": "log", "dtick": 1} if log else {})},
            "yaxis": axes.name_axis(names),
            "annotations": [axes.measure(title)],
        },
    }


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Labels in rows, guesses in columns, each row as shares."""
    shares = [[value / max(1, sum(row)) for value in row] for row in counts]
    return {
        "data": [
            {
                "type": "heatmap",
                "z": shares,
                "x": list(range(len(names))),
                "y": list(range(len(names))),
                "zmin": 0,
                "zmax": 1,
                "showscale": False,
                "colorscale": [[0, "rgba(28,106,80,0)"], [1, "rgba(28,106,80,0.85)"]],
                "xgap": 1,
                "ygap": 1,
                "hovertext": [
                    [
                        f"labelled {label(row)}, guessed {label(column)}: {counts[i][j]}"
                        for j, column in enumerate(names)
                    ]
                    for i, row in enumerate(names)
                ],
                "hoverinfo": "text",
            }
        ],
        "layout": {
            **axes.layout(34 * len(names) + 90, top=10),
            "xaxis": {
                **axes.axis(),
                "tickvals": list(range(len(names))),
                "ticktext": [str(number) for number in range(1, len(names) + 1)],
                "showgrid": False,
                "zeroline": False,
            },
            "yaxis": {
                **axes.name_axis(names),
                "ticktext": [f"{number}. {label(name)}" for number, name in enumerate(names, 1)],
            },
            "annotations": [axes.measure("guessed topic, by its number")],
        },
    }
