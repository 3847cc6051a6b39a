"""What lm-evaluation-harness logged of its own tasks, as results of a suite. Needs no model.

`lm_eval --log_samples --output_path DIR` writes a file of samples for each task, `samples_TASK_DATE.jsonl`, and
`results_DATE.json`, which names the members of groups.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.files import read_json, read_lines, reading
from sapwood.recipe.suite import Suite
from sapwood.suites.item_result import ItemResult, TaskResult

_METRICS = ("acc", "exact_match", "math_verify", "pass@1")
"""Which of the harness's metrics metric, where it has several."""
_FILE = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT[\d.-]+\.jsonl")
_REMEDY = "Evaluate again with lm-evaluation-harness 0.4.8 or later, and --log_samples."


def read_harness_log(directory: Path, suite: Suite) -> dict[str, TaskResult]:
    """The results of the suite's tasks that a log has, found by `lm_eval` in a task's file; of several logs the newest.

    `directory` is the `--output_path` of one model, or the model's directory inside it. Nothing where there is no log.
    Raises SapwoodError where a log is damaged, of several models, has none of the suite's tasks, or has some members of
    a group and lacks others.
    """
    paths = sorted([*directory.glob("samples_*.jsonl"), *directory.glob("*/samples_*.jsonl")])
    places = {path.parent for path in paths}
    if not places:
        return {}
    if len(places) > 1:
        raise SapwoodError(f"{directory} has logs of several models: {', '.join(map(str, sorted(places)))}. Name one.")
    (place,) = places
    files = {found[1]: path for path in paths if (found := _FILE.fullmatch(path.name))}
    groups: dict[str, list[str]] = {}
    for path in sorted(place.glob("results_*.json")):
        groups |= read_json(path, _REMEDY).get("group_subtasks", {})
    results = {}
    for name, task in suite.tasks.items():
        members = _members(task.lm_eval, groups) if task.lm_eval else []
        missing = [member for member in members if member not in files]
        if len(missing) == len(members):
            continue
        if missing:
            raise SapwoodError(f"{place} has no samples of {', '.join(missing)}, which belong to {task.lm_eval}.")
        results[name] = _result(name, {member: files[member] for member in sorted(members)})
    if not results:
        raise SapwoodError(
            f"{place} has samples of {', '.join(files)}, and the suite '{suite.name}' names none of them."
        )
    return results


def _members(name: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The tasks of a group of tasks and groups; a task is its own only member."""
    if not groups.get(name):
        return [name]
    return list(dict.fromkeys(member for child in groups[name] for member in _members(child, groups)))


def _result(name: str, files: Mapping[str, Path]) -> TaskResult:
    """The result of a task from its files of samples; where there are several, each is a subject.

    Measures are called as the harness calls them, with the filter behind a comma where there is more than one.
    """
    items = []
    chances = []
    for subtask, path in files.items():
        with reading(path, _REMEDY):
            by_item: dict[int, list[dict[str, Any]]] = defaultdict(list)
            for sample in read_lines(path, _REMEDY):
                by_item[int(sample["doc_id"])].append(sample)
            subject = subtask if len(files) > 1 else None
            for number, samples in sorted(by_item.items()):
                items.append(_item(f"{subtask}/{number}", subject, samples))
                options = _options(samples[0])
                chances.append(1 / len(options) if options else 0.0)
    if not items:
        raise SapwoodError(f"{', '.join(map(str, files.values()))}: no samples. {_REMEDY}")
    metric = next((metric for known in _METRICS for metric in items[0].scores if metric.startswith(known)), "bits")
    return TaskResult(name, metric, sum(chances) / len(chances), tuple(items))


def _item(name: str, subject: str | None, samples: Sequence[Mapping[str, Any]]) -> ItemResult:
    """An item from its samples, one for each filter of the harness."""
    scores = {}
    for sample in samples:
        for metric in sample["metrics"]:
            if isinstance(sample[metric], int | float):
                scores[metric if len(samples) == 1 else f"{metric},{sample['filter']}"] = float(sample[metric])
    first = samples[0]
    gold, prediction, bits, length, text = str(first["target"]), "", None, None, None
    loglikelihoods: dict[str, tuple[float, ...]] = {}
    options = _options(first)
    if options:
        values = tuple(float(answers[0][0]) for answers in first["resps"][: len(options)])
        loglikelihoods = {"options": values}
        prediction = str(max(range(len(values)), key=lambda number: values[number]))
        if gold.isdecimal() and int(gold) < len(values):
            bits = -values[int(gold)] / math.log(2)
            length = len(options[int(gold)].encode())
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


def _options(sample: Mapping[str, Any]) -> list[str]:
    """The options of a choice; none of another kind of task. The harness logs every value as text."""
    asked = [arguments["arg_1"] for arguments in sample["arguments"].values()]
    if len(asked) < 2:
        return []
    # For `acc_mutual_info` all options are asked for once more, without the question.
    return asked[: len(asked) // 2] if "acc_mutual_info" in sample["metrics"] else asked
