"""Numbers as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from sapwood.statistics.change import BITS_PER_BYTE, SCORE, Metric

MINUS = "−"


def number(value: float, decimals: int = 3, *, signed: bool = False) -> str:
    """A number with a fixed count of decimals and a true minus sign: `1.612`, `−0.403`, `+0.010`."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def signed(value: float, decimals: int = 3) -> str:
    """A change: `−0.403`, `+0.010`."""
    return number(value, decimals, signed=True)


def count(value: float) -> str:
    """A whole number, all of it: `12,345`."""
    return number(value, 0)


def short(value: float) -> str:
    """A number to three figures: `15.4M`, `92.5B`, `512`."""
    if math.isnan(value):
        return "–"
    for suffix, unit in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(value) >= unit * 0.9995:
            return f"{float(f'{value / unit:.3g}'):g}{suffix}"
    return f"{float(f'{value:.3g}'):g}"


def rate(value: float) -> str:
    """A learning rate to three figures, as a recipe writes it: `0.0005`, `1e-5`."""
    return f"{value:.3g}".replace("e-0", "e-")


def percent(share: float, decimals: int = 1) -> str:
    """A share of one: `12.5%`."""
    return f"{share:.{decimals}%}".replace("-", MINUS)


def confidence(share: float) -> str:
    """A confidence as it was declared: `95%`, `99.5%`."""
    return f"{share * 100:.10g}%"


def score(value: float, metric: Metric = SCORE) -> str:
    """How good a model is: bits per byte, `1.612`, or points of 100, `62.5`."""
    return number(metric.scale * value, metric.decimals)


def score_change(value: float, metric: Metric = SCORE) -> str:
    """An improvement by that: `+0.403`, `−1.5`."""
    return signed(metric.scale * value, metric.decimals)


def interval(bounds: tuple[float, float], metric: Metric = BITS_PER_BYTE) -> str:
    """An interval of an improvement: `+0.374 to +0.431`, or of points `−1.5 to +2.0`."""
    low, high = bounds
    return "unknown" if math.isinf(low) else f"{score_change(low, metric)} to {score_change(high, metric)}"


def p_value(value: float) -> str:
    """A p-value: `0.031`, `<0.001`."""
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def duration(seconds: float) -> str:
    """A time in its two largest units: `21 min 30 s`, `3 h 12 min`."""
    if math.isnan(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next(place for place, (amount, _) in enumerate(parts) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount)


def size(amount: float) -> str:
    """Bytes: `3.1 GiB`."""
    if math.isnan(amount):
        return "–"
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} GiB"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def literal(text: str) -> str:
    """Text that stays text in a line or a table's cell of Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|~#])", r"\\\1", " ".join(text.split()))


def published(text: str) -> str:
    """A text as others may read it: of a path on the author's machine its last name alone.

    >>> [published(text) for text in ("/home/me/data/zh-*.jsonl", "Qwen/Qwen3-0.6B")]
    ['zh-*.jsonl', 'Qwen/Qwen3-0.6B']
    """
    return PurePath(text).name if text.startswith(("/", "~")) else text


def without_places(value: Any) -> Any:
    """The same of every text in a value of JSON."""
    if isinstance(value, dict):
        return {name: without_places(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_places(part) for part in value]
    return published(value) if isinstance(value, str) else value
