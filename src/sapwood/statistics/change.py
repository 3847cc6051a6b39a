"""One record of a change, with one sign: above zero is better, whatever is measured.

A number of a model is measured by a `Metric`, which says which way is better. `Metric.improvement` turns the sign, and
nothing else does: every difference, interval and verdict behind it has the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from sapwood.statistics.estimate import Estimate, Floats

Aim: TypeAlias = Literal["gain", "retention"]
"""What is wanted of an ability, as recipes and suites say it."""
Verdict: TypeAlias = Literal["gained", "no gain shown", "kept", "improved", "lost", "loss not excluded", "worse"]

Values = TypeVar("Values", float, Floats)


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured of a model, and which way is better."""

    name: str
    higher_is_better: bool
    unit: str
    """In which people read it."""
    scale: float
    """How many units one is."""
    decimals: int
    """With which people read it."""

    def improvement(self, before: Values, after: Values) -> Values:
        """How much better `after` is than `before`."""
        return after - before if self.higher_is_better else before - after

    def turned(self, difference: float) -> float:
        """The improvement that a difference after - before is, or the difference that an improvement is."""
        return self.improvement(0.0, difference)


BITS_PER_BYTE = Metric("bits per byte", higher_is_better=False, unit="bits per byte", scale=1, decimals=3)
SCORE = Metric("score", higher_is_better=True, unit="points", scale=100, decimals=1)
"""From 0 to 1, such as an accuracy; read in points of 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How much better a model is at something than another one, or than itself before, and how sure that is."""

    name: str
    """Of what changed: an ability, a task, a subject, an arm."""
    metric: Metric
    before: float
    after: float
    """As measured: of bits per byte, fewer are better."""
    n: int
    """Documents or items that both were measured on."""
    estimate: Estimate
    """The improvement: above zero is better, whatever the metric."""
    confidence: float
    low: float
    """The lower end of the improvement's interval at this confidence; `high` is the upper one. Both are infinite where
    the standard error is unknown."""
    high: float
    p_value: float
    """Of no change, two-sided; adjusted where the change was judged in a family."""
    aim: Aim | None = None
    """None where it is not judged."""
    margin: float = 0.0
    """The loss up to which it counts as kept, above 0."""
    verdict: Verdict | None = None

    @staticmethod
    def of(
        name: str,
        metric: Metric,
        before: float,
        after: float,
        estimate: Estimate,
        *,
        n: int,
        confidence: float,
        aim: Aim | None = None,
        margin: float = 0.0,
    ) -> Change:
        """A change that is not judged yet, of which the improvement was estimated."""
        low, high = estimate.interval(confidence)
        return Change(
            name=name,
            metric=metric,
            before=before,
            after=after,
            n=n,
            estimate=estimate,
            confidence=confidence,
            low=low,
            high=high,
            p_value=estimate.p_value,
            aim=aim,
            margin=margin,
        )

    @property
    def value(self) -> float:
        """The improvement itself."""
        return self.estimate.value

    @property
    def interval(self) -> tuple[float, float]:
        """Of the improvement, at the change's confidence."""
        return self.low, self.high

    @property
    def passed(self) -> bool:
        """Whether what is demanded is met, or nothing is."""
        return self.verdict in (None, "gained", "kept", "improved")

    @property
    def fails(self) -> bool:
        """Whether a gate fails: an old ability is not shown to be kept, or a new one got worse."""
        return not self.passed and self.verdict != "no gain shown"

    def judged(self, p_value: float | None = None) -> Change:
        """The change with its verdict by its aim and margin; the same where it has no aim.

        That there is a change is shown where the interval leaves out zero, or by an adjusted `p_value`.
        """
        if self.aim is None:
            return self
        shown = None if p_value is None else p_value < 1 - self.confidence
        verdict = decide(self.aim, self.interval, self.margin, shown=shown)
        return replace(self, p_value=self.p_value if p_value is None else p_value, verdict=verdict)


def decide(aim: Aim, interval: tuple[float, float], margin: float, *, shown: bool | None = None) -> Verdict:
    """The verdict on an improvement of which `interval` is known.

    `shown` says whether it is shown that there is a change; by default, where the interval leaves out zero.

    A gain is `gained`, `worse`, or not shown. What is to be retained is `improved` where it is shown to be better, and
    `kept` where the interval lies above -margin (non-inferiority). Otherwise it is `lost` if it is shown to be worse,
    and else a loss is not excluded. The lower end of a two-sided 95% interval is a one-sided bound of 97.5%: what has
    lost the whole margin is called kept in 2.5% of cases.
    """
    low, high = interval
    if shown is None:
        shown = low > 0 or high < 0
    better, worse = shown and low + high > 0, shown and low + high < 0
    if aim == "gain":
        return "gained" if better else "worse" if worse else "no gain shown"
    if better:
        return "improved"
    return "kept" if low > -margin else "lost" if worse else "loss not excluded"
