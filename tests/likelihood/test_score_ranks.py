"""Scoring on two ranks equals scoring on one, with whole and with sharded models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import scoring_ranks
from sapwood.likelihood.score import score

pytestmark = pytest.mark.slow

PROGRAM = Path(scoring_ranks.__file__)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ranks")
    processes = [
        subprocess.Popen(
            [sys.executable, PROGRAM, directory / "rendezvous", directory / f"{rank}.json", str(rank), "2"],
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors.decode()
    finally:
        for process in processes:
            process.kill()
    return [json.loads((directory / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    program = scoring_ranks
    return score(program.tiny_model(), program.sequences(), max_tokens=40)


def test_all_ranks_get_all_results_in_order(answers, alone):
    assert answers[0]["replicated"] == answers[1]["replicated"]
    assert answers[0]["tokens"] == [item.tokens for item in alone]
    assert answers[0]["replicated"] == pytest.approx([item.nats for item in alone], rel=1e-6)


def test_a_sharded_model_scores_like_a_whole_one(answers, alone):
    assert answers[0]["sharded"] == answers[1]["sharded"]
    assert answers[0]["sharded"] == pytest.approx([item.nats for item in alone], rel=1e-6)


def test_progress_counts_the_tokens_of_all_ranks(answers, alone):
    assert answers[0]["advanced"] == sum(item.tokens for item in alone)
