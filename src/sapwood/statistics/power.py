"""What an evaluation can show, and how many items it takes; to be asked before it is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sapwood.statistics import student


def spread(accuracy: float, correlation: float) -> float:
    """The standard deviation of after - before over items that are right or wrong, sqrt(2 p (1 - p) (1 - r)).

    `accuracy` is that around which both models lie, `correlation` how much they agree beyond it: 0 where the items are
    not the same or the models have nothing in common; 0.5 and more between a model and its continuation.
    """
    return math.sqrt(2 * accuracy * (1 - accuracy) * (1 - correlation))


def detectable(standard_error: float, degrees_of_freedom: float) -> float:
    """The smallest true change that four of five evaluations like the one with this standard error would show.

    Infinite where the standard error is not known, and with less than one degree of freedom.
    """
    if math.isnan(standard_error) or degrees_of_freedom < 1:
        return math.inf
    units = min(degrees_of_freedom, 1e9) + 1
    return Design(deviation=standard_error * math.sqrt(units)).smallest_effect(units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A two-sided paired t test that is planned: how its items differ and hang together, and what is asked of it."""

    deviation: float
    """The standard deviation of the items' differences: measured, or by `spread`."""
    cluster_size: float = 1.0
    """Items that belong together."""
    cluster_correlation: float = 0.0
    """The correlation of the differences inside a cluster."""
    power: float = 0.8
    """With what probability a change of the size in question is to be found."""
    significance: float = 0.05

    def smallest_effect(self, items: float) -> float:
        """The smallest true change that is found with the power: the smallest detectable effect.

        With clusters of m items the variance deviation² / n grows by the design effect 1 + (m - 1) rho (Kish, 1965),
        and n / m - 1 are the degrees of freedom; power by the noncentral t distribution. With seeds in place of items,
        it says what so many seeds can show.

        It is also the narrowest margin within which an ability that did not change is shown to be kept, with the same
        power. Raises ValueError for fewer than two clusters.
        """
        from scipy.optimize import brentq
        from scipy.stats import nct

        freedom = items / self.cluster_size - 1
        if freedom < 1:
            raise ValueError("a change needs at least two clusters to be told from chance")
        critical = float(student.isf(self.significance / 2, freedom))
        # In standard errors: 2.80 with many items, more with few.
        shift = brentq(lambda shift: nct.sf(critical, freedom, shift) - self.power, 0, 2 * critical + 10)
        growth = 1 + (self.cluster_size - 1) * self.cluster_correlation
        return float(shift) * self.deviation * math.sqrt(growth / items)

    def items_needed(self, effect: float) -> int:
        """The fewest items, in whole clusters, whose smallest effect is at most `effect`, which is above 0."""
        if effect <= 0:
            raise ValueError("no number of items shows a change of zero")
        few, many = 1, 2
        while self.smallest_effect(many * self.cluster_size) > effect:
            few, many = many, 2 * many
        while many - few > 1:
            middle = (few + many) // 2
            enough = self.smallest_effect(middle * self.cluster_size) <= effect
            few, many = (few, middle) if enough else (middle, many)
        return math.ceil(many * self.cluster_size)
