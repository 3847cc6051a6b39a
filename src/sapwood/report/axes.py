"""What all figures have in common: their frame, axes, lines and notes."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]
"""A figure of plotly.js, or a part of one."""

NAME_CHARACTERS = 20
"""Longer names are broken into lines, which leaves room for the figure on a narrow screen."""


def label(text: str) -> str:
    """Text that plotly shows as it is; plotly reads some HTML in what it shows."""
    return html.escape(text, quote=False)


def layout(height: int, top: int) -> Figure:
    """The frame: `height` in pixels, `top` of them above the panels, for notes."""
    return {
        "height": height,
        "margin": {"t": top, "r": 16, "b": 52, "l": 16},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--ink", "size": 13},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--rule", "font": {"color": "--ink"}, "align": "left"},
    }


def axis() -> Figure:
    """An axis that cannot be dragged, so that a finger on it scrolls the page."""
    return {
        "fixedrange": True,
        "automargin": True,
        "gridcolor": "--rule",
        "zerolinecolor": "--rule",
        "tickfont": {"color": "--ink-soft", "size": 12},
    }


def token_axis(total: int) -> Figure:
    """A horizontal axis from 0 to `total` tokens."""
    return {**axis(), "range": [0, total], "exponentformat": "B", "hoverformat": ",.0f"}


def name_axis(names: Sequence[str]) -> Figure:
    """A vertical axis with one row a name, from top to bottom."""
    return {
        **axis(),
        "tickvals": list(range(len(names))),
        "ticktext": ["<br>".join(map(label, textwrap.wrap(name, NAME_CHARACTERS))) for name in names],
        "tickfont": {"color": "--ink", "size": 13},
        "range": [len(names) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": "rgba(0,0,0,0)",
    }


def measure(text: str) -> Figure:
    """What a horizontal axis measures, at its right end: long names at its left cannot push it off the figure."""
    return {
        "x": 1,
        "xref": "paper",
        "xanchor": "right",
        "y": 0,
        "yref": "paper",
        "yanchor": "top",
        "yshift": -26,
        "text": text,
        "showarrow": False,
        "font": {"color": "--ink-soft", "size": 12},
    }


def panel_note(text: str, top: float) -> Figure:
    """The heading of a panel: above it and horizontal, where it can be read on a narrow screen too."""
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": top,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": 3,
        "text": text,
        "showarrow": False,
        "font": {"color": "--ink", "size": 12},
    }


def line_note(value: float, text: str, low: float, high: float, row: int) -> Figure:
    """What a vertical line means, above it and away from the nearer edge."""
    place = (value - low) / (high - low)
    return {
        "x": value,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": 2 + 16 * row,
        "xanchor": "left" if place < 0.25 else "right" if place > 0.75 else "center",
        "text": text,
        "showarrow": False,
        "font": {"color": "--ink-soft", "size": 12},
    }


def vertical(value: float, color: str, dash: str) -> Figure:
    """A line through all panels."""
    line = {"color": color, "width": 1.2, "dash": dash}
    return {"type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def horizontal(value: float, color: str, dash: str) -> Figure:
    """A line across the panel."""
    line = {"color": color, "width": 1.2, "dash": dash}
    return {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": value, "y1": value, "line": line}


def span(values: Sequence[float]) -> tuple[float, float]:
    """A range around all finite values, with room to breathe."""
    finite = [value for value in values if math.isfinite(value)]
    room = 0.1 * (max(finite) - min(finite)) or 0.01
    return min(finite) - room, max(finite) + room
