"""Scoring on two ranks equals scoring on one, with whole and with sharded models."""

from __future__ import annotations

import json

import pytest

import scoring_ranks
from rank_processes import ends, started
from sapwood.likelihood.score import score

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ranks")
    arguments = [(directory / "rendezvous", directory / f"{rank}.json", rank, 2) for rank in range(2)]
    assert ends(started(scoring_ranks.score_rank, arguments))
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
