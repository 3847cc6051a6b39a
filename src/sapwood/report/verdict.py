"""What was gained, kept and lost, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sapwood.errors import SapwoodError
from sapwood.evaluation.comparison import Comparison, TaskChange
from sapwood.evaluation.gate import Finding, Verdict, judge
from sapwood.evaluation.result import Evaluation
from sapwood.recipe import Recipe
from sapwood.recipe.check import members
from sapwood.report.facts import Facts
from sapwood.report.wording import confidence, interval, listed, number, score, score_change, signed

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


MOST_NAMES = 4
"""Of a suite, so many tasks with the same verdict are named in the lead."""
NOTHING_TO_LOSE = "nothing to lose"
"""What is said in place of `kept` where a task is kept whatever happens."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding in plain words."""

    sign: str
    heading: str
    text: str
    passed: bool


def find(facts: Facts) -> tuple[list[Finding], str]:
    """The findings about the adapted model against the base model, as `find_between` gives them.

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


def lead(findings: Sequence[Finding], benchmarks: Sequence[Comparison] = ()) -> str:
    """The whole verdict in a sentence, such as `zh was gained; en was kept.`, and one for each suite of benchmarks.

    Of a suite, more than `MOST_NAMES` tasks with the same verdict are counted, and not named.
    """
    sentences = [_told([(finding.name, finding.verdict) for finding in findings])] if findings else []
    for comparison in benchmarks:
        verdicts = [
            (task.task, NOTHING_TO_LOSE if task.verdict == "kept" and task.caveat else task.verdict)
            for task in comparison.tasks.values()
            if task.verdict is not None
        ]
        if verdicts:
            sentences.append(_told(verdicts, f"On the benchmarks of {comparison.suite}, ", MOST_NAMES))
    return " ".join(f"{sentence}." for sentence in sentences)


def _told(verdicts: Sequence[tuple[str, str]], begun: str = "", most: int | None = None) -> str:
    """A sentence without its full stop, behind what it has `begun` with; of more than `most` names it has the count."""
    parts: list[str] = []
    for kinds, words in (
        (("gained",), "{names} {was} gained"),
        (("kept", "improved"), "{names} {was} kept"),
        ((NOTHING_TO_LOSE,), "{names} had nothing to lose"),
        (("no gain shown",), "no gain is shown for {names}"),
        (("worse",), "{names} got worse"),
        (("loss not excluded",), "a loss of {names} is not excluded"),
        (("lost",), "{names} {was} lost"),
    ):
        names = [name for name, verdict in verdicts if verdict in kinds]
        if names:
            told = listed(names) if most is None or len(names) <= most else f"{len(names)} tasks"
            words = words if begun or parts or words.startswith("{") else words[0].upper() + words[1:]
            parts.append(words.format(names=told, was="was" if len(names) == 1 else "were"))
    return begun + "; ".join(parts)


def tally(findings: Sequence[Finding], benchmarks: Sequence[Comparison] = (), unmeasured: int = 0) -> str:
    """How many demands are met: the recipe's, and those of the suites that it names."""
    met = [finding.passed for finding in findings]
    met += [task.passed for comparison in benchmarks for task in comparison.tasks.values() if task.verdict is not None]
    passed, demands = sum(met), len(met) + unmeasured
    if passed == demands:
        return "What the recipe demands is met." if passed == 1 else f"All {passed} demands of the recipe are met."
    told = f"{passed} of {demands} demands of the recipe {'is' if passed == 1 else 'are'} met"
    return f"{told}; {unmeasured} {'was' if unmeasured == 1 else 'were'} not measured." if unmeasured else f"{told}."


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


def task_statement(task: TaskChange, suite: str, level: float) -> Statement:
    """The same of a task; bits per byte fall where they get better, as in findings."""
    low, high = task.interval
    moved, bounds = (-task.change.value, (-high, -low)) if task.in_bits else (task.change.value, task.interval)
    change = f"{score_change(moved, task.in_bits)}, {confidence(level)} interval {interval(bounds, task.in_bits)}"
    levels = f"{score(task.before.value, task.in_bits)} → {score(task.value_after, task.in_bits)}"
    text = f"{task.task} of {suite} {levels} {'bits per byte' if task.in_bits else 'points'} ({change})"
    if task.aim == "retention":
        text += f"; the declared margin is {score(task.margin, task.in_bits)}"
    if task.at_chance:
        text += "; neither model is shown to do better than guessing"
    assert task.verdict is not None
    return Statement(SIGNS[task.verdict], HEADINGS[task.verdict], f"{text}.", task.passed)
