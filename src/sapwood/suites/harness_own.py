"""The tasks of a suite in lm-evaluation-harness's own versions, with its prompts and its judgement, every item kept."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sapwood.recipe.suite import Suite
from sapwood.recipe.task import Task
from sapwood.runs.manifest import Manifest, begin, finished
from sapwood.sandbox.execute import Sandbox
from sapwood.suites.harness import HarnessEvaluator, Sample, loglikelihoods_of
from sapwood.suites.item_result import ITEMS, SUMMARY, ItemResult, TaskResult, read_task_result
from sapwood.suites.suite import run_suite

_COUNTS = ("acc", "exact_match", "math_verify")
"""Which of the harness's metrics counts, where it has several."""


def run_own_versions(
    evaluator: HarnessEvaluator,
    suite: Suite,
    items: Path | None,
    directory: Path,
    *,
    weights: str,
    sandbox: Sandbox | None = None,
) -> dict[str, TaskResult]:
    """As `run_suite`, but tasks are taken as the harness has them (`lm_eval` in a task's file), from the hub.

    The suite's numbers of shots hold. Those that it does not have are put as everywhere else, and so are those with
    programs, which it would run outside of a sandbox.
    """
    results: dict[str, TaskResult] = {}
    for name, task in suite.tasks.items():
        if task.lm_eval is None or task.kind == "code":
            alone = replace(suite, tasks={name: task}, gain=(), retention=())
            results |= run_suite(evaluator, alone, items, directory, weights=weights, sandbox=sandbox)
            continue
        place = directory / name
        settings = {"lm_eval": task.lm_eval, "shots": task.shots.count, "limit": task.limit, **evaluator.settings}
        planned = Manifest(step="lm-eval", inputs={"model": weights}, settings=settings)
        if finished(place, planned) is None:
            samples = evaluator.run([task.lm_eval], shots=task.shots.count, limit=task.limit)
            begin(place, planned, (ITEMS, SUMMARY))
            result_of(task, samples).write(place)
            planned.write(place)
        results[name] = read_task_result(place)
    return results


def result_of(task: Task, samples: Mapping[str, Sequence[Sample]]) -> TaskResult:
    """The result of a task from what the harness wrote down, by its own task; several of them are subjects.

    Measures are called as it calls them, with the filter behind a comma where there is more than one.
    """
    items = []
    chances = []
    for subtask, found in sorted(samples.items()):
        by_item: dict[int, list[Sample]] = defaultdict(list)
        for sample in found:
            by_item[int(sample["doc_id"])].append(sample)
        subject = subtask if len(samples) > 1 else None
        items += [_item(f"{subtask}/{number}", subject, by_item[number]) for number in sorted(by_item)]
        chances += [1 / len(sample["resps"]) if _is_choice(sample) else 0.0 for sample in found]
    counts = next((measure for known in _COUNTS for measure in items[0].scores if measure.startswith(known)), "bits")
    return TaskResult(task.name, counts, sum(chances) / len(chances), tuple(items))


def _item(name: str, subject: str | None, samples: Sequence[Sample]) -> ItemResult:
    """An item from its samples, one for each filter of the harness."""
    scores = {}
    for sample in samples:
        for metric in sample["metrics"]:
            if isinstance(sample[metric], int | float):
                scores[metric if len(samples) == 1 else f"{metric},{sample['filter']}"] = float(sample[metric])
    first = samples[0]
    gold, prediction, bits, length = str(first["target"]), "", None, None
    loglikelihoods: dict[str, tuple[float, ...]] = {}
    text = None
    if _is_choice(first):
        values = loglikelihoods_of(first)
        loglikelihoods = {"options": tuple(values)}
        prediction = str(max(range(len(values)), key=lambda number: values[number]))
        if isinstance(first["target"], int) and 0 <= first["target"] < len(values):
            bits = -values[first["target"]] / math.log(2)
            length = len(str(first["arguments"][first["target"]][1]).encode())
    elif isinstance(first["resps"][0][0], str):
        text, prediction = first["resps"][0][0], str(first["filtered_resps"][0])
    return ItemResult(
        id=name,
        subject=subject,
        prompt=str(first["prompt_hash"]),
        gold=gold,
        prediction=prediction,
        scores=scores,
        bits=bits,
        bytes=length,
        loglikelihoods=loglikelihoods,
        text=text,
    )


def _is_choice(sample: Sample) -> bool:
    return len(sample["resps"]) > 1
