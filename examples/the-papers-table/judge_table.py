"""Puts errors and verdicts to the published scores of Llama-3-8B and Llama-3-SynE (arXiv 2407.18743).

    python examples/the-papers-table/judge_table.py

`scores.csv` holds the scores in percent and the number of items. What is to be gained and kept is what the suite
`paper` declares; the margin is ours. What the table means is in docs/the-papers-table.md.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sapwood.evaluation.published import unpaired_change
from sapwood.recipe.suite import load_suite
from sapwood.statistics.change import SCORE, Aim, Change
from sapwood.statistics.family import judge_family

SCORES = Path(__file__).with_name("scores.csv")
MARGIN = 0.01
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Scores:
    """Two models on a benchmark, from 0 to 1."""

    benchmark: str
    items: int
    before: float
    after: float


def main() -> None:
    scores = read_scores()
    suite = load_suite("paper")
    aims: tuple[tuple[Aim, tuple[str, ...]], ...] = (("gain", suite.gain), ("retention", suite.retention))
    for aim, tasks in aims:
        print(*table(aim, {task: scores[task] for task in tasks}), sep="\n", end="\n\n")
    print("Points. Bold: p below 0.05 by itself, or a verdict that there is a change, by Holm.")


def read_scores(path: Path = SCORES) -> dict[str, Scores]:
    """By task."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["task"]: Scores(
                row["benchmark"], int(row["items"]), float(row["before"]) / 100, float(row["after"]) / 100
            )
            for row in csv.DictReader(file)
        }


def judge(aim: Aim, scores: Mapping[str, Scores]) -> dict[str, Change]:
    """The changes of a family, as if the two models had answered different items."""
    changes = [
        Change.of(
            task,
            SCORE,
            row.before,
            row.after,
            unpaired_change(row.before, row.after, row.items),
            n=row.items,
            confidence=1 - SIGNIFICANCE,
            aim=aim,
            margin=MARGIN,
        )
        for task, row in scores.items()
    ]
    return {change.name: change for change in judge_family(changes)}


def table(aim: Aim, scores: Mapping[str, Scores]) -> Iterator[str]:
    """The lines of a Markdown table, the surest change first."""
    heading = f"{aim}, a family of {len(scores)}"
    yield f"| {heading} | items | before | after | change | 95% interval | p | p by Holm | verdict |"
    yield "|:--|--:|--:|--:|--:|:-:|--:|--:|:--|"
    found = judge(aim, scores)
    for task in sorted(found, key=lambda task: found[task].estimate.p_value):
        row, change = scores[task], found[task]
        p_value = change.estimate.p_value
        cells = [
            row.benchmark,
            f"{row.items:,}",
            f"{100 * change.before:.2f}",
            f"{100 * change.after:.2f}",
            f"{100 * change.value:+.2f}",
            f"{100 * change.low:+.1f} to {100 * change.high:+.1f}",
            bold(probability(p_value), p_value < SIGNIFICANCE),
            probability(change.p_value),
            bold(str(change.verdict), change.p_value < SIGNIFICANCE),
        ]
        yield f"| {' | '.join(cells)} |"


def probability(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def bold(text: str, marked: bool) -> str:
    return f"**{text}**" if marked else text


if __name__ == "__main__":
    main()
