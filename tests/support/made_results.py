"""Results of made-up models on made-up tasks, as an evaluator would have left them."""

from __future__ import annotations

from collections.abc import Sequence

from exams import choice_task, writing_task
from sapwood.recipe.suite import Suite
from sapwood.suites.item_result import ItemResult, TaskResult


def suite() -> Suite:
    """Two tasks to gain in, one of them in bits per byte, and one to keep."""
    tasks = [
        choice_task(name="new", language="zh"),
        writing_task(name="sums", metric="bits"),
        choice_task(name="old"),
    ]
    return Suite("made", "", {task.name: task for task in tasks}, ("new", "sums"), ("old",), margin=0.1)


def choices(task: str, right: Sequence[bool], *, options: int = 4, prompt: str = "p") -> TaskResult:
    """Questions with options, every second of another subject; `right` says which were answered rightly."""
    items = [
        ItemResult(
            id=f"{task}-{number}",
            subject="ab"[number % 2],
            prompt=f"{prompt}{number}",
            gold="A",
            prediction="A" if found else "B",
            scores={"cloze-bytes": float(found)},
            options=("x",) * options,
        )
        for number, found in enumerate(right)
    ]
    return TaskResult(task, "cloze-bytes", 1 / options, tuple(items))


def bits(task: str, values: Sequence[float], length: int = 10) -> TaskResult:
    """Right answers of `length` bytes, at so many bits each."""
    items = [
        ItemResult(id=f"{task}-{number}", prompt=f"p{number}", gold="1", bits=value, bytes=length)
        for number, value in enumerate(values)
    ]
    return TaskResult(task, "bits", 0.0, tuple(items))
