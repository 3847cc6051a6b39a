"""Looking things up in a small run, and replaying it: the functions, and what the verbs print of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from sapwood.arrays import save_array
from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.mixture.audit import documents_of, positions_of, spikes, uses_of
from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.pipeline.handle import open_begun
from sapwood.pipeline.handle import open_run as open_handle
from sapwood.pipeline.ledger import Replayed, account, audit, replay
from sapwood.pipeline.prepare import prepare_run
from sapwood.pipeline.train import train_run
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import StepMetrics, read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> RunDirectory:
    """A run that goes through a small source several times."""
    directory = tmp_path_factory.mktemp("audit")
    words = "heart wood ring bark root leaf branch".split()
    for name, count in (("a", 40), ("b", 8)):
        lines = [" ".join(words[(n * k + k) % 7] for k in range(30 + n)) + f" {name}{n}" for n in range(count)]
        (directory / f"{name}.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    recipe = {
        "name": "audited",
        "model": str(tiny_backbone),
        "sequence_length": 64,
        "sources": {"a": {"files": "a.jsonl"}, "b": {"files": "b.jsonl"}},
        "corpus": {"duplicates": None},
        "groups": {"g": {"a": 1, "b": 1}},
        "stages": [
            {"name": "one", "tokens": 3000, "mixture": {"g": 1}},
            {"name": "two", "tokens": 2000, "mixture": {"g": 1}, "order": {"b": {"by": "tokens"}}},
        ],
        "holdout": {"share": 0.15},
        "training": {"batch_tokens": 512, "precision": "fp32", "learning_rate": 1e-3},
        "evaluation": {"gain": {"domains": ["a"]}, "retention": {"domains": ["b"]}, "samples": {"tokens": 0}},
    }
    path = directory / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    loaded, found = open_run(path, (), directory / "runs")
    prepare_run(loaded, found)
    train_run(loaded, plan_or_refuse(loaded, found, path), found)
    return found


def called(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_step_names_its_documents(run: RunDirectory) -> None:
    found = audit(run.root, step=2)
    assert found.spikes == ()
    assert sum(use.tokens for use, _ in found.documents) == 512
    assert {use.step for use, _ in found.documents} == {2}
    for use, about in found.documents:
        file, row = about.origin.split("#")
        assert file == f"{use.domain}.jsonl"
        text = json.loads((run.root.parents[1] / file).read_text().splitlines()[int(row)])["text"]
        assert text.startswith(about.beginning[:60])
    assert found.documents[0][1].id[:8] in called("audit", str(run.root), "--step", "2")
    lines = [json.loads(line) for line in called("audit", str(run.root), "--step", "2", "--jsonl").splitlines()]
    assert lines == [{**asdict(use), **asdict(about)} for use, about in found.documents]


def test_a_document_names_its_steps_in_every_pass_and_stage(run: RunDirectory) -> None:
    _, stream = open_begun(run.root)
    steps = read_metrics(run.metrics)
    uses = [use for line in steps for use in documents_of(stream, line.step, positions_of(steps, line.step))]
    for domain, number in {(use.domain, use.document) for use in uses if use.document < 3}:
        wanted = [use for use in uses if (use.domain, use.document) == (domain, number)]
        name = stream.epochs[domain].store.document_id(number)
        assert uses_of(stream, steps, name) == wanted
        if domain == "b":
            assert len({use.step for use in wanted}) > 2, "a small source is gone through several times"
    name = stream.epochs["b"].store.document_id(0)
    output = called("audit", str(run.root), "--document", name, "--jsonl")
    assert {json.loads(line)["id"] for line in output.splitlines()} == {name}
    assert called("audit", str(run.root), "--document", name[:12], "--jsonl") == output
    shown = called("audit", str(run.root), "--document", name[:12]).splitlines()
    assert len(shown) == len(output.splitlines()) + 1
    assert all(name[:12] in line for line in shown[1:])
    (found,) = json.loads(called("audit", str(run.root), "--document", name[:12], "--json"))["tables"]
    assert [row["id"] for row in found["rows"]] == [name[:12]] * len(output.splitlines())


def test_every_document_comes_once_a_pass_whatever_the_stages_do(run: RunDirectory) -> None:
    _, stream = open_begun(run.root)
    seen = {domain: np.zeros(part.store.tokens, int) for domain, part in stream.epochs.items()}
    starts = {domain: np.concatenate([[0], np.cumsum(part.store.lengths())]) for domain, part in stream.epochs.items()}
    for position in range(stream.ledger.decided):
        sequence = stream[position]
        for span in sequence.spans:
            begin = starts[sequence.domain][span.document] + span.start
            seen[sequence.domain][begin : begin + span.length] += 1
    for domain, counts in seen.items():
        epochs, rest = divmod(stream.ledger.consumed_until(stream.ledger.decided)[domain], len(counts))
        assert (counts == epochs + 1).sum() == rest
        assert (counts == epochs).sum() == len(counts) - rest


def test_a_run_replays(run: RunDirectory) -> None:
    assert replay(run.root) == Replayed(rounds=2, steps=10, sequences=78, tokens=4992)
    assert "Equal: 2 rounds, 10 steps, 78 sequences, 4,992 tokens." in " ".join(called("replay", str(run.root)).split())


def test_a_run_that_was_opened_is_looked_up_as_its_directory_is(run: RunDirectory) -> None:
    opened = open_handle(run.root)
    assert audit(opened, step=1) == audit(str(run.root), step=1)
    assert account(opened).trained == 4992
    assert not account(opened).off


def test_a_run_that_was_changed_does_not_replay(run: RunDirectory) -> None:
    (tokens,) = (run.tokens("a")).glob("*/train/tokens.npy")
    files = (tokens, tokens.with_name("tokens.npy.xxh3"))
    original = [file.read_bytes() for file in files]
    ids = np.load(tokens)
    save_array(tokens, np.where(ids == ids[0], ids[0] + 1, ids))
    with pytest.raises(SapwoodError, match=r"Step 1 \(sequences 0 to 7\) is not what was trained on"):
        replay(run.root)
    for file, content in zip(files, original, strict=True):
        file.write_bytes(content)
    replay(run.root)


def test_spikes_are_found(run: RunDirectory) -> None:
    steps = read_metrics(run.metrics)
    assert spikes(steps[:2], 3) == []
    changed = [*steps[:8], StepMetrics(**{**_fields(steps[8]), "loss": 50.0}), *steps[9:]]
    (worst,) = spikes(changed, 1)
    assert (worst.step, worst.loss) == (steps[8].step, 50.0)
    output = called("audit", str(run.root), "--spike", "2")
    assert "deviations above" in output
    assert ".jsonl#" in output


def _fields(line: StepMetrics) -> dict[str, object]:
    return {name: getattr(line, name) for name in StepMetrics.__dataclass_fields__}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "Say what to look up"),
        ({"step": 1, "spike": 1}, "Say what to look up"),
        ({"step": 99}, "There is no step 99 in the log: the last one is 10"),
        ({"document": "xyz"}, "'xyz' is no document id"),
        ({"document": "123"}, "'123' is no document id"),
        ({"document": "0" * 32}, "No source trains on a document with the id"),
    ],
)
def test_what_cannot_be_looked_up_is_said(run: RunDirectory, asked: dict[str, Any], expected: str) -> None:
    with pytest.raises(SapwoodError, match=expected):
        audit(run.root, **asked)


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="is not the directory of a run that has begun"):
        replay(tmp_path)
