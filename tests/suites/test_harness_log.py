"""Sample logs of lm-evaluation-harness become results of a suite. Real logs are read in `test_harness.py`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from exams import choice_task
from sapwood.errors import SapwoodError
from sapwood.recipe.suite import Suite
from sapwood.suites.harness_log import read_harness_log

DATE = "2026-01-02T03-04-05.678901"
LATER = "2026-01-03T03-04-05.678901"


def suite(lm_eval: str = "wood") -> Suite:
    return Suite("mine", "", {"exam": choice_task(lm_eval=lm_eval)})


def log(directory: Path, task: str, values: list[float], date: str = DATE, *, target: int = 1, **more: object) -> None:
    """A log of one item with these log-likelihoods, as the harness writes it."""
    options = {f"gen_args_{n}": {"arg_0": "Q:", "arg_1": " ring"} for n in range(len(values))}
    sample = {
        "doc_id": 0,
        "target": str(target),
        "arguments": options,
        "resps": [[[str(value), "False"]] for value in values],
        "filtered_resps": [[str(value), "False"] for value in values],
        "filter": "none",
        "metrics": ["acc"],
        "prompt_hash": "p",
        "acc": float(max(values) == values[target]),
        **more,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"samples_{task}_{date}.jsonl").write_text(json.dumps(sample) + "\n")


def test_the_newest_log_of_a_task_is_read(tmp_path: Path) -> None:
    log(tmp_path / "tiny", "wood", [-1.0, -2.0])
    log(tmp_path / "tiny", "wood", [-2.0, -1.0], LATER)
    found = read_harness_log(tmp_path, suite())["exam"]
    (item,) = found.items
    assert (found.task, found.metric, found.chance, item.scores) == ("exam", "acc", 0.5, {"acc": 1.0})
    assert (item.id, item.prediction, item.loglikelihoods) == ("wood/0", "1", {"options": (-2.0, -1.0)})
    assert (item.bits, item.bytes) == (1 / math.log(2), 5)
    assert read_harness_log(tmp_path / "nothing", suite()) == {}


def test_options_that_are_asked_for_twice_count_once(tmp_path: Path) -> None:
    twice = {"metrics": ["acc", "acc_mutual_info"], "acc_mutual_info": 0.0}
    log(tmp_path, "wood", [-2.0, -1.0, -0.1, -0.2], **twice)
    found = read_harness_log(tmp_path, suite())["exam"]
    assert (found.chance, found.items[0].loglikelihoods) == (0.5, {"options": (-2.0, -1.0)})


def test_members_of_a_group_are_subjects(tmp_path: Path) -> None:
    groups = {"wood": ["wood_a", "woods"], "woods": ["wood_b"], "wood_b": []}
    (tmp_path / f"results_{DATE}.json").write_text(json.dumps({"group_subtasks": groups}))
    log(tmp_path, "wood_a", [-1.0, -2.0])
    with pytest.raises(SapwoodError, match="has no samples of wood_b, which belong to wood"):
        read_harness_log(tmp_path, suite())
    log(tmp_path, "wood_b", [-2.0, -1.0])
    found = read_harness_log(tmp_path, suite())["exam"]
    assert [(item.subject, item.scores["acc"]) for item in found.items] == [("wood_a", 0.0), ("wood_b", 1.0)]


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    log(tmp_path / "a", "wood", [-1.0, -2.0])
    with pytest.raises(SapwoodError, match="has samples of wood, and the suite 'mine' names none of them"):
        read_harness_log(tmp_path / "a", suite("ring"))
    path = tmp_path / "a" / f"samples_wood_{DATE}.jsonl"
    path.write_text(path.read_text().replace("prompt_hash", "prompt"))
    with pytest.raises(SapwoodError, match=r"'prompt_hash' is missing. Evaluate again with lm-evaluation-harness 0\.4"):
        read_harness_log(tmp_path, suite())
    log(tmp_path / "b", "wood", [-1.0, -2.0])
    with pytest.raises(SapwoodError, match="has logs of several models"):
        read_harness_log(tmp_path, suite())
