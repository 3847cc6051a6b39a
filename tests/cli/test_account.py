"""`sapwood account`, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.files import read_json, write_json
from sapwood.mixture.domains import Sizes
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.plan import make_plan
from sapwood.mixture.rounds import next_round
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest

RECIPE = """
name: counted
model: org/model
sequence_length: 8192
sources:
  web-of-many-pages: {tokens: 100B, topics: syne-en}
  code: {tokens: 50B}
  news: {tokens: 1M}
groups: {new: {web-of-many-pages: 1}, old: {code: 1}}
topics: {web-of-many-pages: natural}
stages:
  - {name: adaptation, tokens: 60B, mixture: {new: 8, old: 2}}
  - {name: annealing, tokens: 10B, mixture: {new: 1, old: 1}, sequence_length: 16384}
training: {batch_tokens: 4M, learning_rate: 1e-5}
evaluation: {gain: {domains: [new]}, retention: {domains: [old, news]}}
"""
TOPICS = {"Law and Policy": 20_123_456_789, "Security and International Relations [red]": 40_987_654_321}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run of 70B tokens, whose first stage is decided and not yet trained."""
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    recipe, run = load_recipe(tmp_path / "recipe.yaml"), RunDirectory(tmp_path)
    sizes = {"web-of-many-pages": sum(TOPICS.values()), "code": 51_000_000_007, "news": 0}
    for source, tokens in sizes.items():
        counts = {
            "train_tokens": tokens,
            "holdout_tokens": 1_000_003,
            "dropped_tokens": 17,
            "tokens": tokens + 1_000_020,
        }
        reasons = {"copy of a held-out document": 1}
        Manifest(step="tokens", inputs={}, settings={}, counts=counts, reasons=reasons).write(run.tokens(source))
    write_json(run.divided("web-of-many-pages") / "topics.json", TOPICS)
    Manifest(step="topics", inputs={}, settings={}).write(run.divided("web-of-many-pages"))
    plan = make_plan(recipe, Sizes(sizes, {"web-of-many-pages": TOPICS}))
    write_json(run.plan, plan.to_json())
    ledger = Ledger(run.ledger)
    ledger.begin({})
    entry = next_round(recipe, plan, ledger, {})
    assert entry is not None
    ledger.append(entry)
    return run


def account(run: RunDirectory, *arguments: str, columns: int = 80) -> tuple[int, list[str]]:
    """The exit status and the lines."""
    runner = CliRunner(env={"COLUMNS": str(columns)})
    result = runner.invoke(app, ["account", str(run.root), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout.splitlines()


@pytest.mark.parametrize("columns", [80, 120])
def test_billions_are_shown_whole(run: RunDirectory, columns: int) -> None:
    Ledger(run.ledger).finish(2_000_000)
    status, lines = account(run, columns=columns)
    assert status == 0
    assert lines[-1].startswith("The account balances to the token: ")
    assert [line for line in lines if line.startswith("web-of-many-pages  ")]
    text = "\n".join(lines)
    for number in ("61,112,111,130", "20,123,456,789", "51,000,000,007", "16,384,000,000"):
        assert number in text
    assert "…" not in text
    assert "[red]" in text
    assert "Dropped from code: 1 document, copy of a held-out document" in text


def test_one_stage_alone(run: RunDirectory) -> None:
    status, lines = account(run, "--stage", "annealing")
    assert status == 0
    assert lines[0] == "Stage annealing: tokens in sequences of 16,384, not begun"
    assert not [line for line in lines if "adaptation" in line or "Tokens read" in line]
    with pytest.raises(SapwoodError, match=r"There is no stage 'anealing'\. Did you mean"):
        account(run, "--stage", "anealing")


def test_what_does_not_balance_fails(run: RunDirectory) -> None:
    path = run.tokens("code") / "manifest.json"
    manifest = read_json(path)
    manifest["counts"]["train_tokens"] -= 1
    write_json(path, manifest)
    status, lines = account(run)
    assert status == 1
    assert lines[-1] == "The account does not balance: 1 of 6 sums does not agree, by 1 token."
    assert lines[-2].startswith(
        "code: read 51,001,000,027 ≠ to train on + held out + dropped 51,001,000,026 (off by +1)"
    )


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    result = CliRunner().invoke(app, ["account", str(tmp_path / "recipe.yaml"), "--runs", str(tmp_path / "runs")])
    assert isinstance(result.exception, SapwoodError)
    assert "There is no run in" in str(result.exception)
