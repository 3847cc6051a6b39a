from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sapwood.backbone.record import last_learning_rate
from sapwood.backbone.stored import StoredWeights
from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.evaluation.result import read_evaluation
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.training.checkpoint import CheckpointTensors, checkpoints

pytestmark = pytest.mark.slow

TRAINING = {
    "batch_tokens": 512,
    "micro_batch": 2,
    "precision": "fp32",
    "learning_rate": 3e-3,
    "checkpoints": {"every": "2 steps", "keep": 4},
    "ema": 0.5,
}
STAGES = [
    {"name": "first", "tokens": 3000, "mixture": {"zh": 8, "en": 2}},
    {"name": "second", "tokens": 2000, "mixture": {"zh": 1, "en": 1}},
]


def sapwood(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "80"}, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.fixture
def run(tiny_recipe: Callable[..., Path]) -> RunDirectory:
    torch.set_num_threads(1)
    path = tiny_recipe(training=TRAINING, stages=STAGES)
    for verb in ("prepare", "train"):
        sapwood(verb, path, "--runs", path.parent / "runs")
    return RunDirectory(path.parent / "runs" / "tiny")


def measured(run: RunDirectory) -> dict[str, Path]:
    (state,) = (run.evaluation / "merged").iterdir()
    return {path.relative_to(state).as_posix(): path for path in sorted(state.glob("*/*.json"))}


def test_weights_are_merged_measured_and_written(run: RunDirectory) -> None:
    saved = checkpoints(run.checkpoints)
    assert len(saved) == 4
    base = StoredWeights(Path(load_recipe(run.recipe).model))
    states = [CheckpointTensors(path).weights for path in saved]

    output = sapwood("merge", run.root, "--with-base", "1, 0.25")
    assert list(measured(run)) == ["last/0.25.json", "last/1.json"]
    assert "last weights   0.25" in output
    assert "2510.17776" in output
    sapwood("evaluate", run.root)
    merged, exported = (read_evaluation(path) for path in (measured(run)["last/1.json"], run.evaluation / "model.json"))
    assert merged.domains == exported.domains  # all the way is the adapted model, to the bit
    assert merged.tokens == exported.tokens

    before = {name: path.stat().st_mtime_ns for name, path in measured(run).items()}
    quarter = run.root.parent / "quarter"
    sapwood("merge", run.root, "--with-base", "25%", "--output", quarter)
    assert {name: path.stat().st_mtime_ns for name, path in measured(run).items()} == before  # nothing twice
    assert last_learning_rate(quarter) is None
    for name, tensor in StoredWeights(quarter).items():
        torch.testing.assert_close(tensor, 0.75 * base[name] + 0.25 * states[-1][name])

    mean = run.root.parent / "mean"
    output = sapwood("merge", run.root, "--last", "3", "--output", mean)
    assert "reach back" not in output
    assert "at learning rates from 0.003 to 0.003. They count 33.3%, 33.3% and 33.3%." in output
    for name, tensor in StoredWeights(mean).items():
        torch.testing.assert_close(tensor, (states[1][name] + states[2][name] + states[3][name]) / 3)

    average = run.root.parent / "ema"
    sapwood("merge", run.root, "--ema", "--output", average)
    for name, tensor in StoredWeights(average).items():
        assert torch.equal(tensor, CheckpointTensors(saved[-1]).average[name])
    output = sapwood("merge", run.root, "--last", "4", "--decay", "1-sqrt", "--with-base", "0.5,1")
    names = ["1-sqrt-4/0.5", "1-sqrt-4/1", "ema/1", "last/0.25", "last/1", "mean-3/1"]
    assert list(measured(run)) == [f"{name}.json" for name in names]
    assert "1-sqrt decay over 4" in output
    assert "They reach back into stage 'first': what 'second' alone teaches counts for less." in output
    assert (run.root / "merge.html").stat().st_size > 1_000_000
    assert last_learning_rate(run.model) == 3e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Write what to merge: --last 8, --ema, or"),
        (("--last", "3", "--ema"), "exclude each other"),
        (("--ema", "--decay", "linear"), "write over how many, such as --last 8"),
        (("--with-base", "0,1"), "shares lie above 0"),
        (("--with-base", "1.5"), "shares lie above 0"),
        (("--with-base", "half"), "--with-base half: expected a share"),
        (("--with-base", "0.5,1", "--output", "new"), "--output writes one model, and --with-base names 2"),
        (("--ema", "--output", "."), "There is something at ."),
        (("--last", "3"), "holds 0 of the 3 checkpoints"),
    ],
)
def test_what_cannot_be_merged(tiny_recipe: Callable[..., Path], arguments: tuple[str, ...], message: str) -> None:
    path = tiny_recipe()
    path.rename(path.with_name("recipe.yaml"))
    with pytest.raises(SapwoodError, match=message):
        sapwood("merge", path.parent, *arguments)
