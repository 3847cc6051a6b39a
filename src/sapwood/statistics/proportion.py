"""How sure a share is: its interval by Wilson."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided score interval of a share (Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212); (0, 1) of no trials.

    >>> low, high = wilson(95, 100)
    >>> f"{low:.3f} {high:.3f}"
    '0.888 0.978'
    """
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is no share")
    if not trials:
        return 0.0, 1.0
    return score_interval(hits / trials, trials, NormalDist().inv_cdf((1 + confidence) / 2))


def score_interval(share: float, trials: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share that was found in so many independent trials, with the quantile `z`.

    (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n)
    """
    spread = z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    # Where all or none are hits one bound is known exactly, but for rounding.
    return 0.0 if share == 0 else centre - half, 1.0 if share == 1 else centre + half
