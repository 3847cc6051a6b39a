"""What was gained, kept and lost, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import Finding, Verdict, judge
from sapwood.evaluation.result import Evaluation
from sapwood.recipe import Recipe
from sapwood.recipe.check import members
from sapwood.report.facts import Facts
from sapwood.report.wording import confidence, interval, listed, number, signed

SIGNS: dict[Verdict, str] = {
    "gained": "✓",
    "improved": "✓",
    "kept": "✓",
    "no gain shown": "?",
    "loss not excluded": "?",
    "lost": "✗",
    "worse": "✗",
}
"""Beside the words, so that no verdict is told by colour alone."""

HEADINGS: dict[Verdict, str] = {
    "gained": "Gained",
    "no gain shown": "No gain shown",
    "worse": "Worse instead of better",
    "kept": "Kept",
    "improved": "Kept, and improved",
    "loss not excluded": "A loss is not excluded",
    "lost": "Lost",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding in plain words."""

    sign: str
    heading: str
    text: str
    passed: bool


def find(facts: Facts) -> tuple[list[Finding], str]:
    """The findings about the grown model against the backbone, as `find_between` gives them.

    Both are empty when an evaluation is not there.
    """
    if facts.base is None or facts.model is None:
        return [], ""
    return find_between(facts.recipe, facts.base, facts.model)


def find_between(recipe: Recipe, before: Evaluation, after: Evaluation) -> tuple[list[Finding], str]:
    """The findings of `judge`, or none and why the two evaluations cannot be judged."""
    aims = recipe.evaluation
    wanted = [source for name in [*aims.gain.domains, *aims.retention.domains] for source in members(recipe, name)]
    for evaluation in (before, after):
        scored = {name for name, score in evaluation.domains.items() if score.documents}
        if absent := [source for source in wanted if source not in scored]:
            found = f"The evaluation '{evaluation.label}' has no document of {listed(absent)}."
            return [], f"{found} Run `sapwood evaluate` again."
    try:
        return judge(recipe, before, after), ""
    except SapwoodError as error:
        return [], str(error)


def lead(findings: Sequence[Finding]) -> str:
    """The whole verdict in one sentence, such as `zh was gained; en was kept.`"""
    return in_words([(finding.name, finding.verdict) for finding in findings])


def in_words(judged: Sequence[tuple[str, Verdict]]) -> str:
    """Names and their verdicts in one sentence."""
    parts: list[str] = []
    for verdicts, words in (
        (("gained",), "{names} {was} gained"),
        (("kept", "improved"), "{names} {was} kept"),
        (("no gain shown",), "no gain is shown for {names}"),
        (("worse",), "{names} got worse"),
        (("loss not excluded",), "a loss of {names} is not excluded"),
        (("lost",), "{names} {was} lost"),
    ):
        found = [name for name, verdict in judged if verdict in verdicts]
        if found:
            begun = words if parts or words.startswith("{") else words[0].upper() + words[1:]
            parts.append(begun.format(names=listed(found), was="was" if len(found) == 1 else "were"))
    return "; ".join(parts) + "."


def tally(findings: Sequence[Finding]) -> str:
    """How many of the recipe's demands are met."""
    passed = sum(finding.passed for finding in findings)
    if passed == len(findings):
        return "What the recipe demands is met." if passed == 1 else f"All {passed} demands of the recipe are met."
    return f"{passed} of {len(findings)} demands of the recipe {'is' if passed == 1 else 'are'} met."


def statement(finding: Finding, margin: float, level: float) -> Statement:
    """A finding as a sentence with its numbers; `level` is the confidence of its interval."""
    change = f"{signed(finding.change.value)}, {confidence(level)} interval {interval(finding.interval)}"
    text = f"{finding.name} {number(finding.before)} → {number(finding.after)} bits per byte ({change})"
    match finding.verdict:
        case "kept":
            text += f", within the declared margin of {margin:g}"
        case "lost":
            text += f"; the declared margin of {margin:g} does not hold it"
        case "loss not excluded":
            text += f"; the interval reaches the declared margin of {margin:g}"
        case "no gain shown":
            text += "; the interval reaches zero"
        case _:
            pass
    if math.isinf(finding.interval[0]):
        text += ". A source with fewer than two documents has no interval"
    return Statement(SIGNS[finding.verdict], HEADINGS[finding.verdict], f"{text}.", finding.passed)
