"""`sapwood compare`: models against the one they were adapted from, on the benchmarks of a suite."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from sapwood.cli.comparison import print_comparison, print_levels
from sapwood.cli.output import Output
from sapwood.pipeline.compare import Backend
from sapwood.pipeline.compare import compare as compare_models
from sapwood.progress import console as progress

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
