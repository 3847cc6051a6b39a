"""What was gained, kept and lost, judged by the margins that the recipe declared beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sapwood.errors import SapwoodError
from sapwood.evaluation.result import DomainScore, Evaluation
from sapwood.recipe.check import members
from sapwood.recipe.schema import Recipe
from sapwood.statistics.change import BITS_PER_BYTE, Aim, Change
from sapwood.statistics.estimate import Estimate, mean, ratio


def judge(recipe: Recipe, before: Evaluation, after: Evaluation) -> list[Change]:
    """The change of every domain under `gain` and `retention` of the recipe, in its order, with its verdict.

    Of a group, levels are the mean over its sources, and `n` counts the documents of all.

    Raises SapwoodError when the two evaluations did not score the same documents in the same way.
    """
    if before.settings != after.settings:
        changed = [key for key in before.settings if before.settings[key] != after.settings.get(key)]
        raise SapwoodError(
            f"The evaluations '{before.label}' and '{after.label}' cannot be compared: they differ in "
            f"{', '.join(changed) or 'their settings'}. Run `sapwood evaluate` again."
        )
    evaluation = recipe.evaluation
    changes = []
    aims: tuple[tuple[Aim, Sequence[str]], ...] = (
        ("gain", evaluation.gain.domains),
        ("retention", evaluation.retention.domains),
    )
    for aim, names in aims:
        for name in names:
            sources = members(recipe, name)
            first, second = ([found.domains[source] for source in sources] for found in (before, after))
            change = Change.of(
                name,
                BITS_PER_BYTE,
                sum(score.bits_per_byte.value for score in first) / len(sources),
                sum(score.bits_per_byte.value for score in second) / len(sources),
                mean([paired_change(*scores) for scores in zip(first, second, strict=True)]),
                n=sum(len(score.documents) for score in first),
                confidence=evaluation.confidence,
                aim=aim,
                margin=evaluation.retention.margin,
            )
            changes.append(change.judged())
    return changes


def mean_change(changes: Sequence[Change], aim: Aim) -> Estimate | None:
    """The plain mean of the improvements in what has an aim; None where nothing has."""
    found = [change.estimate for change in changes if change.aim == aim]
    return mean(found) if found else None


def paired_change(before: DomainScore, after: DomainScore) -> Estimate:
    """The improvement in bits per byte over the same documents; pairing removes most of the noise between documents.

    Raises SapwoodError when the documents differ.
    """
    if [(d.id, d.bytes) for d in before.documents] != [(d.id, d.bytes) for d in after.documents]:
        raise SapwoodError("The two evaluations scored different documents. Run `sapwood evaluate` again.")
    pairs = zip(before.documents, after.documents, strict=True)
    bits = [BITS_PER_BYTE.improvement(first.nats, second.nats) / math.log(2) for first, second in pairs]
    return ratio(bits, [document.bytes for document in before.documents])
