"""Checkpoint, ledger, log and plan are held against each other before a run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.files import append_line, read_json, read_lines, write_json, write_lines
from sapwood.training.checkpoint import STATE
from small_faults import Outcome, begin_again, results_of

pytestmark = pytest.mark.slow

Sapwood = Callable[..., Outcome]


@pytest.fixture
def begun(finished: Path) -> Path:
    """A run that was killed after a checkpoint in the middle of a round."""
    begin_again(finished)
    return finished


def newest(run: Path) -> Path:
    return max((run / "checkpoints").iterdir())


def rewrite(run: Path, **fields: object) -> None:
    """Changes fields of the newest checkpoint, as somebody would who knows of its checksum."""
    path = newest(run) / STATE
    write_json(path, {**read_json(path), **fields}, sealed=True)


def cut_last_round(run: Path) -> None:
    lines = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (run / "ledger.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])


def halve_the_log(run: Path) -> None:
    content = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(content[: len(content) // 2])


def change_a_step(run: Path) -> None:
    lines = read_lines(run / "metrics.jsonl")
    lines[2]["loss"] = 1.0
    write_lines(run / "metrics.jsonl", lines, sealed=True)


def lose_a_step(run: Path) -> None:
    lines = read_lines(run / "metrics.jsonl")
    write_lines(run / "metrics.jsonl", [*lines[:3], *lines[4:]], sealed=True)
    rewrite(run, records={})


def change_a_round(run: Path) -> None:
    lines = read_lines(run / "ledger.jsonl")
    write_lines(run / "ledger.jsonl", [{**line, "reasons": ["mine"]} for line in lines], sealed=True)


def lengthen_a_round(run: Path) -> None:
    lines = read_lines(run / "ledger.jsonl")
    lines[-1]["sequences"] += 100
    write_lines(run / "ledger.jsonl", lines, sealed=True)
    rewrite(run, records={})


MISMATCHES: list[tuple[Callable[[Path], None], str]] = [
    (cut_last_round, "ledger.jsonl does not belong to step-00000011, which was saved with it: it has"),
    (change_a_round, "ledger.jsonl does not belong to step-00000011, which was saved with it: it"),
    (lengthen_a_round, "the plan"),
    (lambda run: (run / "ledger.jsonl").unlink(), "ledger.jsonl is missing, and the run has checkpoints"),
    (halve_the_log, "metrics.jsonl does not belong to step-00000011"),
    (change_a_step, "metrics.jsonl does not belong to step-00000011"),
    (lose_a_step, "metrics.jsonl lacks step 4, and step-00000011 has done it"),
    (lambda run: (run / "metrics.jsonl").unlink(), "metrics.jsonl cannot be read: No such file"),
    (
        lambda run: rewrite(run, tokens=999_999),
        "speaks of 999,999 tokens after 44 sequences, and ledger.jsonl of 2,816",
    ),
    (lambda run: rewrite(run, position=9_999, records={}), "ledger.jsonl ends at sequence 48"),
    (lambda run: rewrite(run, step=10, records={}), "metrics.jsonl has 2,560 tokens and 40 sequences after step 10"),
]


def test_what_does_not_fit_is_refused_with_a_remedy(begun: Path, tmp_path: Path, sapwood: Sapwood) -> None:
    for damage, message in MISMATCHES:
        run = Path(shutil.copytree(begun, tmp_path / "damaged" / "tiny"))
        damage(run)
        refused = sapwood("train", run)
        assert refused.is_refusal, (message, refused)
        assert message in refused.said, refused.said
        assert "Remove" in refused.said or "Restore" in refused.said or "give the run another name" in refused.said
        assert not (run / "model").exists()
        shutil.rmtree(run)


def test_what_a_kill_leaves_is_followed(begun: Path, finished_run: Path, sapwood: Sapwood) -> None:
    """Lines that are cut short, and steps that are logged after the last checkpoint."""
    with (begun / "ledger.jsonl").open("ab") as file:
        file.write(b'{"event":"round","round":3,"sta')
    last = read_lines(begun / "metrics.jsonl")[-1]
    append_line(begun / "metrics.jsonl", {**last, "step": last["step"] + 1})
    with (begun / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step":14,\0\0\0\n{"st')
    assert sapwood("run", begun).status == 0
    assert results_of(begun) == results_of(finished_run)
    assert [line["step"] for line in read_lines(begun / "metrics.jsonl")] == list(range(1, 13))


def test_the_remedies_help(begun: Path, finished_run: Path, sapwood: Sapwood) -> None:
    """Without log and checkpoints the same steps are done again, from the rounds that the ledger holds."""
    shutil.rmtree(begun / "checkpoints")
    (begun / "metrics.jsonl").unlink()
    shutil.rmtree(begun / "tokens" / "web")
    shutil.rmtree(begun / "corpus" / "news" / "documents")
    shutil.rmtree(begun / "orders")
    rounds = [line for line in read_lines(begun / "ledger.jsonl") if line["event"] == "round"]
    assert sapwood("run", begun).status == 0
    assert results_of(begun) == results_of(finished_run)
    assert [line for line in read_lines(begun / "ledger.jsonl") if line["event"] == "round"] == rounds


def test_a_round_that_was_trained_on_is_not_decided_again_without_a_word(
    begun: Path, finished_run: Path, sapwood: Sapwood
) -> None:
    """The checkpoint is of the round before; steps of the lost round stand in the log."""
    shutil.rmtree(newest(begun))
    assert not any((begun / "checkpoints").iterdir())
    cut_last_round(begun)
    found = sapwood("run", begun)
    assert found.status == 0
    assert "has lost its last line, of a round that was trained on" in " ".join(found.said.split())
    assert results_of(begun) == results_of(finished_run)
