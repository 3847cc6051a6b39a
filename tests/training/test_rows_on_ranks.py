"""Documents one a row on several ranks: those with fewer micro-batches run empty ones, so that none waits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rank_processes import ends, killed_at, start, started
from rows_rank import be_rank
from sapwood.files import read_lines
from sapwood.mixture.decided import open_run
from sapwood.pipeline.prepare import prepare_run
from sapwood.runs.directory import RunDirectory
from small_models import small_model
from small_runs import stream_of

pytestmark = pytest.mark.slow
LINES = ("step", "position", "digest", "tokens")
"""What a step is of, whatever the ranks."""


def test_ranks_with_fewer_micro_batches_of_rows_run_empty_ones(tmp_path: Path) -> None:
    assert ends(started(be_rank, [(rank, str(tmp_path)) for rank in range(2)]))
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == [[1, 5, 7], [[0], [], []], 1]
    assert second == [[1, 5, 7], [[0]] * 3, 3]


@pytest.fixture
def of_rows(tiny_backbone: Path, tmp_path: Path) -> Path:
    """A model that keeps documents apart by a row for each, and is quick on a CPU: Falcon."""
    directory = tmp_path / "falcon"
    small_model("falcon", vocab_size=400).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_backbone / name, directory)
    return directory


def test_ranks_and_kills_do_not_change_a_run_of_rows(tiny_recipe: Callable[..., Path], of_rows: Path) -> None:
    stages = [{"name": "only", "tokens": 2560, "mixture": {"zh": 1, "en": 1}}]
    found: dict[str, RunDirectory] = {}
    for name, ranks in (("one", 1), ("two", 2), ("killed", 2)):
        path = tiny_recipe(name=name, model=str(of_rows), stages=stages)
        recipe, run = open_run(path, (), path.parent / "runs")
        prepare_run(recipe, run)
        if name == "killed":
            killed_at(4, path, ranks)  # a step after a checkpoint
        assert ends(start(path, ranks, prepare=False))
        found[name] = run
    assert stream_of(found["one"]).ledger.traits.isolation == "rows"
    logs = {name: read_lines(run.metrics) for name, run in found.items()}
    losses = {name: [line["loss"] for line in log] for name, log in logs.items()}
    assert losses["two"] == pytest.approx(losses["one"], abs=2e-5)
    assert losses["killed"] == losses["two"]
    ledgers = [stream_of(run).ledger for run in found.values()]
    for name, ledger in zip(found, ledgers, strict=True):
        assert [[line[field] for field in LINES] for line in logs[name]] == [
            [line[field] for field in LINES] for line in logs["one"]
        ]
        assert ledger.finished_at == ledger.rounds[-1].stop == 2560 // 64
        assert ledger.consumed_until(ledger.finished_at) == ledgers[0].consumed_until(ledger.finished_at)
