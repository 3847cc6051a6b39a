"""The verdict: what was gained, kept and lost, by the margins that the recipe declared beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sapwood.errors import SapwoodError
from sapwood.evaluation.result import DomainScore, Evaluation
from sapwood.recipe.check import members
from sapwood.recipe.fields import Aim
from sapwood.recipe.schema import Recipe
from sapwood.statistics.estimate import Estimate, mean, ratio

Verdict = Literal["gained", "no gain shown", "kept", "improved", "lost", "loss not excluded", "worse"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The change of one ability, and what it means."""

    kind: Aim
    name: str
    """The group or source, as the recipe names it."""
    sources: tuple[str, ...]
    documents: int
    before: float
    """Bits per byte, the mean over the sources."""
    after: float
    change: Estimate
    """after - before, from the same documents; below zero is better."""
    interval: tuple[float, float]
    """Of the change, at the recipe's confidence."""
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether the recipe's demand is met."""
        return self.verdict in ("gained", "kept", "improved")


def judge(recipe: Recipe, before: Evaluation, after: Evaluation) -> list[Finding]:
    """One finding for every domain under `gain` and `retention` of the recipe, in its order.

    Bits per byte are better the fewer: of the change in them, `decide` is given the opposite.

    Raises SapwoodError when the two evaluations did not score the same documents in the same way.
    """
    if before.settings != after.settings:
        changed = [key for key in before.settings if before.settings[key] != after.settings.get(key)]
        raise SapwoodError(
            f"The evaluations '{before.label}' and '{after.label}' cannot be compared: they differ in "
            f"{', '.join(changed) or 'their settings'}. Run `sapwood evaluate` again."
        )
    evaluation = recipe.evaluation
    findings = []
    kinds: tuple[tuple[Aim, Sequence[str]], ...] = (
        ("gain", evaluation.gain.domains),
        ("retention", evaluation.retention.domains),
    )
    for kind, names in kinds:
        for name in names:
            sources = tuple(members(recipe, name))
            change = mean([paired_change(before.domains[s], after.domains[s]) for s in sources])
            interval = change.interval(evaluation.confidence)
            findings.append(
                Finding(
                    kind=kind,
                    name=name,
                    sources=sources,
                    documents=sum(len(before.domains[source].documents) for source in sources),
                    before=sum(before.domains[s].bits_per_byte.value for s in sources) / len(sources),
                    after=sum(after.domains[s].bits_per_byte.value for s in sources) / len(sources),
                    change=change,
                    interval=interval,
                    verdict=decide(kind, (-interval[1], -interval[0]), evaluation.retention.margin),
                )
            )
    return findings


def mean_change(findings: Sequence[Finding], kind: Aim) -> Estimate | None:
    """The plain mean of the changes of a kind; None where the recipe judges nothing of it."""
    changes = [finding.change for finding in findings if finding.kind == kind]
    return mean(changes) if changes else None


def paired_change(before: DomainScore, after: DomainScore) -> Estimate:
    """The change in bits per byte over the same documents; pairing removes most of the noise between documents.

    Raises SapwoodError when the documents differ.
    """
    if [(d.id, d.bytes) for d in before.documents] != [(d.id, d.bytes) for d in after.documents]:
        raise SapwoodError("The two evaluations scored different documents. Run `sapwood evaluate` again.")
    bits = [(b.nats - a.nats) / math.log(2) for a, b in zip(before.documents, after.documents, strict=True)]
    return ratio(bits, [document.bytes for document in before.documents])


def decide(kind: Aim, interval: tuple[float, float], margin: float, *, shown: bool | None = None) -> Verdict:
    """The verdict on a change of which `interval` is known; above zero is better.

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
    if kind == "gain":
        return "gained" if better else "worse" if worse else "no gain shown"
    if better:
        return "improved"
    return "kept" if low > -margin else "lost" if worse else "loss not excluded"
