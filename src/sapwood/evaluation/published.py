"""What published totals can show, where no item's score is known."""

from __future__ import annotations

import math

from sapwood.statistics.change import SCORE
from sapwood.statistics.estimate import Estimate


def unpaired_change(before: float, after: float, items: int) -> Estimate:
    """The improvement of two accuracies on `items` items each, as if they were not the same items.

        SE² = (p0 (1 - p0) + p1 (1 - p1)) / n

    Conservative where they are the same items and the models get the same ones right more often than by chance: pairing
    would take 2 r sqrt(p0 (1 - p0) p1 (1 - p1)) / n from SE², with r the correlation of their scores. Not conservative
    about clusters, which totals hide. From about a hundred items on, accuracies not near 0 or 1.
    """
    return Estimate(
        SCORE.improvement(before, after), math.sqrt((before * (1 - before) + after * (1 - after)) / items), math.inf
    )
