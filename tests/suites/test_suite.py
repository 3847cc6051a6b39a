"""Suites: every item kept, nothing measured twice, everything checked before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from exams import choice_task, choices, problems, write_rows, writing_task
from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.recipe.suite import Suite, load_task
from sapwood.recipe.task import Shots, Task
from sapwood.runs.manifest import NAME, read_manifest
from sapwood.suites.evaluator import Answers, EvaluatedModel, TorchEvaluator
from sapwood.suites.item_result import ITEMS, read_task_result
from sapwood.suites.question import Question
from sapwood.suites.suite import run_suite

pytestmark = pytest.mark.slow


class Counting(TorchEvaluator):
    """Our evaluator, which says what it was asked, and fails where it is told to."""

    asked: list[str]
    broken: str | None = None

    def answer(self, task: Task, questions: Sequence[Question]) -> Answers:
        if task.name == self.broken:
            raise KeyboardInterrupt
        self.asked.append(task.name)
        return super().answer(task, questions)


@pytest.fixture
def evaluator(tiny_backbone: Path) -> Counting:
    counting = Counting(EvaluatedModel.open(tiny_backbone, "fp32"))
    object.__setattr__(counting, "asked", [])
    return counting


@pytest.fixture
def items(tmp_path: Path) -> Path:
    write_rows(tmp_path / "items" / "exam.jsonl", choices(8))
    write_rows(tmp_path / "items" / "sums.jsonl", problems(3))
    return tmp_path / "items"


def suite(*tasks: Task) -> Suite:
    return Suite("test", "", {task.name: task for task in tasks})


BOTH = (choice_task(), writing_task())


def test_every_item_is_kept(evaluator: Counting, items: Path, tmp_path: Path) -> None:
    results = run_suite(evaluator, suite(*BOTH), items, tmp_path / "out", weights="w")
    assert list(results) == ["exam", "sums"]
    lines = read_lines(tmp_path / "out" / "exam" / ITEMS)
    assert len(lines) == 8
    assert set(lines[0]) >= {
        "id",
        "cluster",
        "prompt",
        "gold",
        "prediction",
        "scores",
        "bits",
        "bytes",
        "loglikelihoods",
    }
    for name, result in results.items():
        assert read_task_result(tmp_path / "out" / name) == result
    exam = results["exam"]
    assert exam.chance == 0.25
    assert exam.value == pytest.approx(sum(item.right("cloze-bytes") for item in exam.items) / 8)
    assert exam.summary()["subjects"]["a"]["items"] == 4
    by_hand = -sum(i.loglikelihoods["cloze"]["ABCD".index(i.gold)] for i in exam.items) / math.log(2)
    assert exam.bits_per_byte == pytest.approx(by_hand / sum(i.bytes or 0 for i in exam.items))
    sums = results["sums"]
    assert sums.chance == 0
    assert all(item.text is not None and item.bits is not None for item in sums.items)


def test_what_is_finished_is_not_run_again(evaluator: Counting, items: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    object.__setattr__(evaluator, "broken", "sums")
    with pytest.raises(KeyboardInterrupt):
        run_suite(evaluator, suite(*BOTH), items, out, weights="w")
    object.__setattr__(evaluator, "broken", None)
    first = run_suite(evaluator, suite(*BOTH), items, out, weights="w")
    assert evaluator.asked == ["exam", "sums"]
    assert run_suite(evaluator, suite(*BOTH), items, out, weights="w") == first
    assert evaluator.asked == ["exam", "sums"]


def test_a_half_written_result_does_not_count(evaluator: Counting, items: Path, tmp_path: Path) -> None:
    run_suite(evaluator, suite(BOTH[0]), items, tmp_path / "out", weights="w")
    (tmp_path / "out" / "exam" / NAME).unlink()
    run_suite(evaluator, suite(BOTH[0]), items, tmp_path / "out", weights="w")
    assert evaluator.asked == ["exam", "exam"]


@pytest.mark.parametrize("what", ["weights", "items", "wording", "shots", "precision"])
def test_whatever_changes_numbers_has_a_task_run_again(
    evaluator: Counting, items: Path, tmp_path: Path, what: str
) -> None:
    out, weights, task = tmp_path / "out", "w", choice_task()
    run_suite(evaluator, suite(task), items, out, weights=weights)
    before = read_manifest(out / "exam")
    if what == "weights":
        weights = "other"
    elif what == "items":
        write_rows(items / "exam.jsonl", choices(7))
    elif what == "wording":
        task = choice_task(cloze="{{ question }} ...")
    elif what == "shots":
        task = choice_task(shots=Shots(count=1))
    else:
        object.__setattr__(evaluator, "model", replace(evaluator.model, autocast=torch.bfloat16))
    run_suite(evaluator, suite(task), items, out, weights=weights)
    assert evaluator.asked == ["exam", "exam"]
    after = read_manifest(out / "exam")
    assert before is not None
    assert after is not None
    assert before.fingerprint != after.fingerprint


def test_where_files_lie_does_not_matter(evaluator: Counting, items: Path, tmp_path: Path) -> None:
    run_suite(evaluator, suite(choice_task()), items, tmp_path / "out", weights="w")
    (items / "exam.jsonl").rename(items / "renamed.jsonl")
    task = choice_task(files="renamed.jsonl", about="The same.")
    run_suite(evaluator, suite(task), items, tmp_path / "out", weights="w")
    assert evaluator.asked == ["exam"]


def test_everything_is_checked_before_anything_is_measured(evaluator: Counting, items: Path, tmp_path: Path) -> None:
    for last, complaint in (
        (choice_task(name="absent", files="absent.jsonl"), "needs absent.jsonl"),
        (choice_task(name="greedy", shots=Shots(count=8)), "shows 8 solved items"),
        (load_task("humaneval"), "no sandbox to run them in"),
    ):
        with pytest.raises(SapwoodError, match=complaint):
            run_suite(evaluator, suite(*BOTH, last), items, tmp_path / "out", weights="w")
    assert evaluator.asked == []


def test_with_bits_nothing_is_generated(evaluator: Counting, items: Path, tmp_path: Path) -> None:
    task = writing_task(metric="bits")
    [result] = run_suite(evaluator, suite(task), items, tmp_path / "out", weights="w").values()
    assert result.value == result.bits_per_byte
    assert all(item.text is None and not item.scores for item in result.items)


def test_probes_run_without_files(evaluator: Counting, tmp_path: Path) -> None:
    probes = [
        task.model_copy(
            update={"limit": 6, "generator": task.generator and task.generator.model_copy(update={"examples": 4})}
        )
        for task in map(load_task, ("icl-words", "icl-digits"))
    ]
    results = run_suite(evaluator, suite(*probes), None, tmp_path / "out", weights="w")
    assert [len(result.items) for result in results.values()] == [6, 6]
    assert results["icl-words"].chance == 0.25
