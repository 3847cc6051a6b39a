"""Two ranks find what one finds, with whole and with sharded models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from evaluation_ranks import evaluate_rank, suite
from exams import choices, problems, write_rows
from rank_processes import ends, started
from sapwood.suites.evaluator import EvaluatedModel, TorchEvaluator
from sapwood.suites.item_result import TaskResult, read_task_result
from sapwood.suites.suite import run_suite

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("items")
    write_rows(directory / "exam.jsonl", choices(9))
    write_rows(directory / "sums.jsonl", problems(7))
    return directory


@pytest.fixture(scope="module")
def alone(tiny_backbone: Path, items: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, TaskResult]:
    directory = tmp_path_factory.mktemp("alone")
    return run_suite(TorchEvaluator(EvaluatedModel.open(tiny_backbone, "fp32")), suite(), items, directory, weights="w")


@pytest.fixture(scope="module")
def output(tiny_backbone: Path, items: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ranks")
    arguments = [(directory / "rendezvous", tiny_backbone, items, directory, rank) for rank in range(2)]
    assert ends(started(evaluate_rank, arguments))
    return directory


@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_two_ranks_find_what_one_finds(output: Path, alone: Mapping[str, TaskResult], kind: str) -> None:
    for task, expected in alone.items():
        found = read_task_result(output / kind / task)
        assert [item.id for item in found.items] == [item.id for item in expected.items]
        for item, other in zip(found.items, expected.items, strict=True):
            assert (item.text, item.prediction, item.scores) == (other.text, other.prediction, other.scores)
            assert item.bits == pytest.approx(other.bits, rel=1e-5)


def test_the_first_rank_alone_has_the_results(output: Path, alone: Mapping[str, TaskResult]) -> None:
    first, second = (json.loads((output / f"{rank}.json").read_text()) for rank in range(2))
    assert first["whole"] == first["sharded"] == {task: dict(result.scores) for task, result in alone.items()}
    assert second == {"whole": {}, "sharded": {}}
