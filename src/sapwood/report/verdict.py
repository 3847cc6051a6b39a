"""What was gained, kept and lost, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sapwood.errors import SapwoodError
from sapwood.evaluation.comparison import ComparedTask, Comparison
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import Evaluation
from sapwood.recipe import Recipe
from sapwood.recipe.check import members
from sapwood.report.run_view import RunView
from sapwood.report.wording import confidence, interval, listed, score, score_change
from sapwood.statistics.change import Change, Verdict

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
    """A judged change in plain words."""

    sign: str
    heading: str
    text: str
    passed: bool


def find(facts: RunView) -> tuple[list[Change], str]:
    """The changes of the adapted model against the base model, as `find_between` gives them.

    Both are empty when an evaluation is not there.
    """
    if facts.base is None or facts.model is None:
        return [], ""
    return find_between(facts.recipe, facts.base, facts.model)


def find_between(recipe: Recipe, before: Evaluation, after: Evaluation) -> tuple[list[Change], str]:
    """The changes of `judge`, or none and why the two evaluations cannot be judged."""
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


def lead(changes: Sequence[Change], benchmarks: Sequence[Comparison] = ()) -> str:
    """The whole verdict in a sentence, such as `zh was gained; en was kept.`, and one for each suite of benchmarks.

    Of a suite, more than `MOST_NAMES` tasks with the same verdict are counted, and not named.
    """
    sentences = [_told([(change.name, change.verdict) for change in changes if change.verdict])] if changes else []
    for comparison in benchmarks:
        verdicts = [
            (task.task, NOTHING_TO_LOSE if verdict == "kept" and task.caveat else verdict)
            for task in comparison.tasks.values()
            if (verdict := task.change.verdict) is not None
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


def tally(changes: Sequence[Change], benchmarks: Sequence[Comparison] = (), unmeasured: int = 0) -> str:
    """How many demands are met: the recipe's, and those of the suites that it names."""
    met = [change.passed for change in changes]
    judged = [task.change for comparison in benchmarks for task in comparison.tasks.values()]
    met += [change.passed for change in judged if change.verdict is not None]
    passed, demands = sum(met), len(met) + unmeasured
    if passed == demands:
        return "What the recipe demands is met." if passed == 1 else f"All {passed} demands of the recipe are met."
    told = f"{passed} of {demands} demands of the recipe {'is' if passed == 1 else 'are'} met"
    return f"{told}; {unmeasured} {'was' if unmeasured == 1 else 'were'} not measured." if unmeasured else f"{told}."


def statement(change: Change) -> Statement:
    """A judged change of an ability as a sentence with its numbers."""
    metric = change.metric
    levels = f"{score(change.before, metric)} → {score(change.after, metric)}"
    text = f"{change.name} {levels} {metric.unit} ({_moved(change)})"
    match change.verdict:
        case "kept":
            text += f", within the declared margin of {change.margin:g}"
        case "lost":
            text += f"; the declared margin of {change.margin:g} does not hold it"
        case "loss not excluded":
            text += f"; the interval reaches the declared margin of {change.margin:g}"
        case "no gain shown":
            text += "; the interval reaches zero"
        case _:
            pass
    if math.isinf(change.low):
        text += ". A source with fewer than two documents has no interval"
    return _stated(change, text)


def task_statement(task: ComparedTask, suite: str) -> Statement:
    """The same of a task."""
    change, metric = task.change, task.change.metric
    levels = f"{score(change.before, metric)} → {score(change.after, metric)}"
    text = f"{task.task} of {suite} {levels} {metric.unit} ({_moved(change)})"
    if change.aim == "retention":
        text += f"; the declared margin is {score(change.margin, metric)}"
    if task.at_chance:
        text += "; neither model is shown to do better than guessing"
    return _stated(change, text)


def _moved(change: Change) -> str:
    bounds = interval(change.interval, change.metric)
    return f"{score_change(change.value, change.metric)}, {confidence(change.confidence)} interval {bounds}"


def _stated(change: Change, text: str) -> Statement:
    assert change.verdict is not None
    return Statement(SIGNS[change.verdict], HEADINGS[change.verdict], f"{text}.", change.passed)
