"""Quantities as people write them (`92.5B`, `4GiB`, `30min`, `20%`) to exact numbers and back."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

COUNTS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
DECIMALS = 4
"""The most decimals of a number of tokens that is written with a unit."""
BYTES = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}

_NUMBER = re.compile(r"^\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+]?[0-9]+)?)\s*([A-Za-z]*)\s*$")


def parse_tokens(value: object) -> int:
    """Tokens: an integer, or a number with K, M, B or T (thousand to trillion). `92.5B` is 92500000000.

    Raises ValueError for anything else, or when the result is not a whole number.
    """
    return _parse(value, COUNTS, "a number of tokens such as 20M or 92.5B")


def parse_bytes(value: object) -> int:
    """Bytes: an integer, or a number with KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024)."""
    return _parse(value, BYTES, "a size such as 4GiB or 500MB")


def parse_seconds(value: object) -> int:
    """Seconds: a number with s, min, h or d."""
    return _parse(value, SECONDS, "a time such as 90s, 30min or 2h")


def _parse(value: object, units: dict[str, int], expected: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {expected}")
    match = _NUMBER.match(repr(value) if isinstance(value, float) else str(value))
    if match is None or match.group(2) not in units:
        raise ValueError(f"expected {expected}")
    exact = Fraction(match.group(1).replace("_", "")) * units[match.group(2)]
    if exact.denominator != 1:
        raise ValueError(f"expected {expected}, and a whole number of them: this is {float(exact)}")
    return int(exact)


def format_tokens(tokens: int) -> str:
    """A number of tokens exactly: `92.5B`, `61.44K`, `512`, and `5001117696` where a unit would need more decimals than
    are easily read. Inverse of `parse_tokens`."""
    suffix, unit = _unit(tokens)
    if tokens * 10**DECIMALS % unit:
        return str(tokens)
    whole, rest = divmod(tokens * 10**DECIMALS // unit, 10**DECIMALS)
    decimals = f"{rest:0{DECIMALS}d}".rstrip("0")
    return f"{whole}{'.' + decimals if decimals else ''}{suffix}"


def show_tokens(tokens: Fraction | float) -> str:
    """A number of tokens as people write it: `92.5B`, `45.175B`, and where that is long to four figures, `5.001B`.

    Not exact; what is read again is written by `format_tokens`.
    """
    if 0 < tokens < 1:
        return "<1"
    whole = round(tokens)
    exact = format_tokens(whole)
    if exact != str(whole) or whole < 1000:
        return exact
    rounded = int(float(f"{whole:.4g}"))
    suffix, unit = _unit(rounded)
    return f"{rounded / unit:.4g}{suffix}"


def _unit(tokens: int) -> tuple[str, int]:
    """The largest unit of which there is at least one."""
    return next(((suffix, unit) for suffix, unit in reversed(COUNTS.items()) if tokens >= unit), ("", 1))


def parse_share(value: object) -> Fraction:
    """A share, exactly: a number (`7`, `0.25`), a percentage (`20%`) or a ratio (`1/3`). Never negative.

    Raises ValueError for anything else.
    """
    expected = "expected a share such as 7, 0.25, 20% or 1/3"
    if isinstance(value, Fraction):
        share = value
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(expected)
    else:
        text = repr(value) if isinstance(value, float) else str(value).strip()
        try:
            share = Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)
        except (ValueError, ZeroDivisionError):
            raise ValueError(expected) from None
    if share < 0:
        raise ValueError(f"{expected}; it cannot be negative")
    return share


def format_share(share: Fraction) -> int | float | str:
    """A share as a number when that is exact, else as a ratio. Inverse of `parse_share`."""
    if share.denominator == 1:
        return share.numerator
    return float(share) if Fraction(repr(float(share))) == share else f"{share.numerator}/{share.denominator}"


def parse_rate(value: object) -> float | Fraction | Literal["final"]:
    """A learning rate: a number (`1e-5`), an exact share of the peak (`10%`, `1/3`), or `final`.

    Raises ValueError for anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    if value == "final":
        return "final"
    if isinstance(value, Fraction) or (isinstance(value, str) and ("%" in value or "/" in value)):
        return parse_share(value)
    raise ValueError("expected a rate such as 1e-5, a share of the peak such as 10%, or final")


def format_rate(rate: float | Fraction | str) -> float | str:
    """A learning rate as it is written. Inverse of `parse_rate`."""
    return f"{rate.numerator}/{rate.denominator}" if isinstance(rate, Fraction) else rate


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of a run, in the unit in which it was written: `10B` (tokens), `200 steps` or `30min`."""

    amount: int
    unit: str
    """`tokens`, `steps` or `seconds`."""

    @staticmethod
    def parse(value: object) -> Interval:
        """Reads `10B`, `10B tokens`, `200 steps` or `30min`. Raises ValueError for anything else."""
        if isinstance(value, Interval):
            return value
        text = str(value).strip() if isinstance(value, str | int | float) else ""
        if text.endswith("steps"):
            return Interval(_parse(text.removesuffix("steps"), {"": 1, **COUNTS}, "steps such as 200 steps"), "steps")
        if text.endswith("tokens"):
            return Interval(parse_tokens(text.removesuffix("tokens")), "tokens")
        if text.endswith(tuple(SECONDS)):
            return Interval(parse_seconds(text), "seconds")
        try:
            return Interval(parse_tokens(value), "tokens")
        except ValueError:
            raise ValueError("expected tokens such as 10B, steps such as 200 steps, or a time such as 30min") from None

    def tokens(self, batch_tokens: int) -> int:
        """The stretch in tokens. A time has none: raises ValueError."""
        if self.unit == "seconds":
            raise ValueError("expected tokens or steps here, not a time")
        return self.amount * (batch_tokens if self.unit == "steps" else 1)

    def __str__(self) -> str:
        if self.unit == "seconds":
            return f"{self.amount}s"
        return format_tokens(self.amount) if self.unit == "tokens" else f"{self.amount} steps"
