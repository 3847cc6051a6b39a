"""`sapwood compare`: models against the one they were adapted from, on the benchmarks of a suite."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, get_args

import orjson
import typer
from rich.console import Console

from sapwood.cli.output import Output
from sapwood.evaluation.comparison import Comparison
from sapwood.pipeline.compare import Backend
from sapwood.pipeline.compare import compare as compare_models
from sapwood.progress import console as progress
from sapwood.report import wording
from sapwood.report.judged import tasks_table
from sapwood.report.table import Table, count, score, score_interval
from sapwood.report.wording import confidence, interval
from sapwood.statistics.change import SCORE, Aim
from sapwood.suites.task_scores import TaskLevel, metric_of


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Prints what became of every task, in points of 100 or in bits per byte, and what of that is shown."""
    console.print(tasks_table(comparison))
    for line in _remarks(comparison):
        console.print(line, soft_wrap=True)


def print_levels(
    console: Console, suite: str, model: str, levels: Mapping[str, tuple[str, TaskLevel]], level: float
) -> None:
    """Prints how good one model is on every task: its metric, and its score with an interval."""
    table = Table("task", "metric", "items", "score", f"{confidence(level)} interval", "", title=f"{model}, {suite}")
    for name, (counts, found) in levels.items():
        metric = metric_of(counts)
        bounds = score_interval(found.level.interval(level), metric)
        at_chance = "at chance" if found.at_chance else ""
        table.add(name, counts, count(found.level.items), score(found.value, metric), bounds, at_chance)
    console.print(table)


def _remarks(comparison: Comparison) -> list[str]:
    lines = [
        "Changes above zero are better, of bits per byte too. p: of no change, adjusted within each family (Holm). "
        "detectable: the smallest true change that four of five such evaluations would find."
    ]
    for aim in get_args(Aim):
        lines += [
            f"Mean of {aim}{where}: {wording.score_change(found.value)} "
            f"({interval(found.interval(comparison.confidence), SCORE)}) points"
            for where, language in (("", None), *((f", {name}", name) for name in comparison.languages))
            if (found := comparison.mean_change(aim, language)) is not None
            and not (language and len(comparison.languages) == 1)
        ]
    for task in comparison.tasks.values():
        if task.flips is not None:
            lost, won = (wording.score(flips.estimate.value) for flips in (task.flips.lost, task.flips.won))
            lines.append(
                f"{task.task}: {lost} lost, {won} won, {wording.score(task.flips.by_guessing)} of each by guessing"
            )
        if (clean := task.clean) is not None and clean.n < task.change.n:
            moved = f"{wording.score_change(clean.value, clean.metric)} ({interval(clean.interval, clean.metric)})"
            lines.append(f"{task.task}: {moved} on the {clean.n:,} items that were not trained on")
    return lines


FAILED = 3
"""The exit status where a gate fails."""


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="BASE [MODEL]...",
            help="Models (directories, names on the Hugging Face hub, GGUF files), runs, directories of results, "
            "or sample logs of lm-evaluation-harness. The first is what the others are compared with; alone, it is "
            "measured.",
        ),
    ],
    suite: Annotated[str, typer.Option(help="A suite that comes with Sapwood (paper, small, retention), or a file.")],
    items: Annotated[
        Path | None, typer.Option(help="The directory with the files of the benchmarks.", show_default=False)
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task of the suite. May be given several times.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Where the results of every item are kept; what is there is not measured again.")
    ] = Path("evaluations"),
    seeds: Annotated[
        bool, typer.Option("--seeds", help="The models differ in their training seed alone: judge them together.")
    ] = False,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of all intervals.")] = 0.95,
    backend: Annotated[
        Backend, typer.Option(help="Sapwood's own evaluator on torch, or lm-evaluation-harness with hf or vllm.")
    ] = "torch",
    lines: Annotated[
        bool, typer.Option("--jsonl", help="Print a JSON line for each comparison, with all numbers.")
    ] = False,
) -> None:
    """Compare models on benchmarks: what was gained, what was kept, and how sure that is.

    Exits with 3 when a gate of the suite fails: a task under `retention` that is not shown to be kept within the
    margin, or one under `gain` that got worse. docs/comparing.md says what every number means.
    """
    compared = compare_models(
        models,
        suite,
        items=items,
        tasks=task or (),
        output=output,
        seeds=seeds,
        confidence=confidence,
        backend=backend,
    )
    if compared is None:
        return  # the first rank has the results
    console = Output()
    if not compared.comparisons:
        print_levels(console, compared.suite, compared.base, compared.levels, confidence)
    for comparison in compared.comparisons:
        if lines:
            typer.echo(orjson.dumps(asdict(comparison), option=orjson.OPT_SERIALIZE_NUMPY))
        else:
            print_comparison(console, comparison)
    for comparison in compared.failures:
        tasks = ", ".join(f"{task.task} ({task.change.verdict})" for task in comparison.failures)
        progress.print(f"Gates that fail, {comparison.model}: {tasks}.", style="red")
    if compared.failures:
        sys.exit(FAILED)
