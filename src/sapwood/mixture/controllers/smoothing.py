"""Exponential moving averages of signals, which controllers remember from round to round."""

from __future__ import annotations

from collections.abc import Mapping


def smooth(signal: Mapping[str, float], past: Mapping[str, float], weight: float) -> dict[str, float]:
    """`weight` times the past and the rest of the signal; a signal without a past is taken as it is.

    Of names without a signal the past is remembered as it was.
    """
    fresh = {name: weight * past.get(name, value) + (1 - weight) * value for name, value in signal.items()}
    return {**past, **fresh}
