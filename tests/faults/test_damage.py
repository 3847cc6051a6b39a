"""Every file of a run, damaged in every way: one sentence that names it, or the same result.

The whole matrix takes the better part of an hour (`make test-faults`); here a part of it that a seed has chosen.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from small_faults import Outcome, begin_again, results_of

pytestmark = pytest.mark.slow

Sapwood = Callable[..., Outcome]
WHOLE = os.environ.get("SAPWOOD_FAULTS") == "all"
SAMPLE = 12
"""Faults of each state of a run that are tried where not all are."""
VERBS = (("replay",), ("account",), ("report",), ("checkpoint", "list"), ("watch", "--once"), ("audit", "--step", "1"))


def truncate(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))] if content else b"")


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def remove(path: Path, rng: random.Random) -> None:
    path.unlink()


def replace_by_directory(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def make_unreadable(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)  # nobody can read that, not even root


DAMAGES = (truncate, empty, flip, remove, replace_by_directory, make_unreadable)


def files_of(run: Path) -> list[str]:
    """What a run consists of, by path below it; not what is written for people alone, nor logs of the engine."""
    paths = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.suffix != ".html" and "logs" not in path.parts)


def faults(files: list[str], seed: int) -> Iterator[tuple[str, Callable[[Path, random.Random], None]]]:
    """All faults, or a sample in which every kind of damage comes."""
    every = [(name, damage) for name in files for damage in DAMAGES]
    if WHOLE:
        yield from every
        return
    rng = random.Random(seed)
    for number in range(SAMPLE):
        yield rng.choice(files), DAMAGES[number % len(DAMAGES)]


@pytest.mark.parametrize("state", ["finished", "begun"])
def test_damage_is_told_or_does_nothing(finished_run: Path, tmp_path: Path, sapwood: Sapwood, state: str) -> None:
    expected = results_of(finished_run)
    run, whole = tmp_path / "runs" / "tiny", tmp_path / "whole"
    shutil.copytree(finished_run, whole)
    if state == "begun":
        begin_again(whole)
    wrong = []
    for number, (name, damage) in enumerate(faults(files_of(whole), len(state))):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole, run)
        damage(run / name, random.Random(number))
        verb = VERBS[number % len(VERBS)]
        group = 2 if verb[0] == "checkpoint" else 1
        for call in ((*verb[:group], run, *verb[group:]), ("run", run)):
            try:
                found = sapwood(*call)
            except Exception as error:
                wrong.append(f"{damage.__name__} {name}: {call[0]}: {type(error).__name__}: {error}")
                continue
            if found.status == 0 and call[0] == "run" and results_of(run) != expected:
                wrong.append(f"{damage.__name__} {name}: {call[0]}: another result")
            told = found.out + found.said  # `checkpoint list` tells in its table
            named = found.status == 1 and "Traceback" not in told and name.split("/")[0].removeprefix(".") in told
            if found.status and not named:
                wrong.append(f"{damage.__name__} {name}: {call[0]}: {found}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "verb", [("replay",), ("audit", "--step", "9"), ("account",)], ids=["replay", "audit", "account"]
)
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda run: cut_ledger(run), "ledger.jsonl ends at sequence 16, and metrics.jsonl has steps up to 48"),
        (lambda run: make_unreadable(run / "metrics.jsonl", random.Random(0)), "metrics.jsonl cannot be read"),
        (
            lambda run: make_unreadable(run / "tokens/web/manifest.json", random.Random(0)),
            "manifest.json cannot be read",
        ),
    ],
    ids=["a ledger without its last rounds", "a log that is a link to itself", "a manifest that is one"],
)
def test_what_is_lost_is_not_taken_for_what_never_was(
    finished: Path, sapwood: Sapwood, verb: tuple[str, ...], damage: Callable[[Path], None], says: str
) -> None:
    damage(finished)
    refused = sapwood(verb[0], finished, *verb[1:])
    assert refused.is_refusal
    assert says in refused.said


def cut_ledger(run: Path) -> None:
    lines = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    second = next(number for number, line in enumerate(lines) if b'"round":1' in line)
    (run / "ledger.jsonl").write_bytes(b"".join(lines[:second]))
