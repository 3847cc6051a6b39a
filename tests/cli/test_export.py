"""`sapwood export`: from a prepared run to files, through kills, and against what training has read."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import sapwood
from sapwood.cli.main import main
from sapwood.files import read_json, read_lines, write_lines
from sapwood.mixture.decided import DecidedRun
from sapwood.mixture.export import shards
from sapwood.mixture.measured import Measured
from sapwood.mixture.stream import Sequence, digest

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]
SEQUENCES = 7000 // 64
FIRST = 5000 // 64


def run_verb(*arguments: object) -> int:
    """Runs a verb in this process and gives its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["sapwood", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(str(ended.value.code or 0))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared") / "tiny"


@pytest.fixture
def recipe(tiny_recipe: TinyRecipe, kept: Path, tmp_path: Path) -> Path:
    """The tiny recipe, with its sources prepared in `runs` beside it; nothing is decided yet."""
    path = tiny_recipe()
    if not kept.exists():
        assert run_verb("prepare", path, "--runs", tmp_path / "runs") == 0
        shutil.copytree(tmp_path / "runs" / "tiny", kept)
    shutil.copytree(kept, tmp_path / "runs" / "tiny", dirs_exist_ok=True)
    return path


def export(recipe: Path, *arguments: object) -> int:
    return run_verb("export", recipe, "--runs", recipe.parent / "runs", *arguments)


def sequences(recipe: Path) -> list[Sequence]:
    stream = DecidedRun.open(recipe.parent / "runs" / "tiny").stream
    return [stream[position] for position in range(SEQUENCES)]


def read(output: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(output.glob("stream-*.parquet")) for row in pq.read_table(path).to_pylist()]


def write(recipe: Path, **fields: object) -> None:
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | fields))


IN_ORDER: list[dict[str, Any]] = [
    {"name": "adaptation", "tokens": 3000, "mixture": {"zh": 8, "en": 2}, "controller": {"every": "2 steps"}},
    {
        "name": "enhancement",
        "tokens": 4000,
        "mixture": {"zh": 1, "en": 1},
        "order": {"zh": {"by": "compression_ratio"}, "en": {"by": "compression_ratio", "ascending": False}},
    },
]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_megatron_files_are_the_stream(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert export(recipe, "--format", "megatron", "--output", output, "--shard-tokens", "2K") == 0
    written = sequences(recipe)
    total = digest(sum(sequence.digest for sequence in written))
    assert f"6,976 tokens in 109 sequences, digest {total}, are in {output}" in said(capsys)
    names = sorted(path.name for path in output.glob("stream-*"))
    # 31 sequences fit into 2,000 tokens, and the second stage of 31 begins a file of its own
    assert names == [f"stream-{n:05d}.{kind}" for n in range(4) for kind in ("bin", "idx")]
    tokens = np.concatenate([np.fromfile(output / name, "<u2") for name in names if name.endswith(".bin")])
    assert np.array_equal(tokens, np.concatenate([sequence.tokens for sequence in written]))
    account = read_json(output / "stream.json")
    assert account["digest"] == total
    assert [(part["stage"], part["start"], part["stop"]) for part in account["stages"]] == [
        ("adaptation", 0, FIRST),
        ("enhancement", FIRST, SEQUENCES),
    ]
    assert account["end_of_text"] == 0
    assert account["isolation"] == "positions", "as `sapwood.stream` says of this model"
    assert read_json(output / "manifest.json")["counts"] == {"sequences": 109, "tokens": 6976, "shards": 4}


def test_parquet_names_the_documents(recipe: Path, tmp_path: Path) -> None:
    assert export(recipe, "--output", tmp_path / "out", "--stage", "enhancement") == 0
    rows = read(tmp_path / "out")
    stream = DecidedRun.open(tmp_path / "runs" / "tiny").stream
    assert [row["position"] for row in rows] == list(range(FIRST, SEQUENCES))
    assert {row["stage"] for row in rows} == {"enhancement"}
    for row in rows:
        sequence = stream[row["position"]]
        assert row["input_ids"] == sequence.tokens.tolist()
        assert row["domain"] == sequence.domain
        store = stream.epochs[row["domain"]].store
        for span, piece in zip(row["spans"], sequence.spans, strict=True):
            [number] = store.find(span["document"])
            assert number == piece.document
            taken = np.empty(span["length"], np.int64)
            store.copy(number, span["start"], taken)
            assert row["input_ids"][span["offset"] : span["offset"] + span["length"]] == taken.tolist()


@pytest.mark.parametrize(("asked", "got"), [("1000", 15), ("5.2K", 81), ("1M", SEQUENCES)])
def test_so_many_tokens_from_the_beginning(recipe: Path, tmp_path: Path, asked: str, got: int) -> None:
    assert export(recipe, "--output", tmp_path / "out", "--tokens", asked) == 0
    assert [row["position"] for row in read(tmp_path / "out")] == list(range(got))


@pytest.mark.parametrize("form", ["megatron", "parquet"])
def test_a_killed_export_goes_on_with_whole_shards(recipe: Path, tmp_path: Path, form: str) -> None:
    arguments = ("--format", form, "--shard-tokens", "640", "--output")
    assert export(recipe, *arguments, tmp_path / "whole") == 0
    output = tmp_path / "killed"
    for moment in (1, 5, 30, 42):
        child = multiprocessing.get_context("fork").Process(
            target=export_and_die, args=(recipe, (*arguments, output), moment)
        )
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert not (output / "manifest.json").exists()
    before = {path.name: path.stat().st_mtime_ns for path in output.glob("stream-*")}
    lines = read_lines(output / "shards.jsonl")
    assert len(lines) == 0 + 0 + 3 + 4
    assert export(recipe, *arguments, output) == 0
    after = {path.name: path.stat().st_mtime_ns for path in output.glob("stream-*")}
    assert all(after[name] == before[name] for name in before if int(name[7:12]) < len(lines))
    whole, resumed = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.name not in TIMED}
        for name in ("whole", "killed")
    )
    assert whole == resumed
    assert export(recipe, *arguments, output) == 0  # there is nothing left to do
    assert {path.name: path.stat().st_mtime_ns for path in output.glob("stream-*")} == after


TIMED = {"manifest.json"}


def export_and_die(recipe: Path, arguments: tuple[object, ...], moment: int) -> None:
    original = shards._sequences

    def dying(*given: object) -> Iterator[Sequence]:
        nonlocal moment
        for sequence in original(*given):  # type: ignore[arg-type]
            moment -= 1
            if moment < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            yield sequence

    shards._sequences = dying  # type: ignore[assignment]
    export(recipe, *arguments)


def test_it_says_whether_training_read_the_same(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here training decides round after round, and the order of documents changes in the middle of an epoch."""
    runs = tmp_path / "runs"
    shutil.copytree(runs / "tiny", runs / "ahead")
    write(recipe, stages=IN_ORDER)
    torch.set_num_threads(1)
    assert run_verb("train", recipe, "--runs", runs) == 0
    assert export(runs / "tiny", "--output", tmp_path / "whole") == 0
    assert "It is, to the token, what 14 steps have trained on." in said(capsys)
    write(recipe, name="ahead", stages=IN_ORDER)
    assert export(recipe, "--output", tmp_path / "ahead") == 0  # all rounds are decided before anything is trained
    assert (tmp_path / "ahead" / "shards.jsonl").read_bytes() == (tmp_path / "whole" / "shards.jsonl").read_bytes()
    assert export(runs / "tiny", "--output", tmp_path / "part", "--tokens", "1000") == 0
    assert "to the token" not in said(capsys)  # 1,000 tokens end inside a step
    metrics = runs / "tiny" / "metrics.jsonl"
    lines = read_lines(metrics)
    write_lines(metrics, [*lines[:-1], {**lines[-1], "digest": "0" * 16}])
    assert export(runs / "tiny", "--output", tmp_path / "whole") == 1
    assert "read something else" in said(capsys)


def test_rounds_that_depend_on_losses_are_exported_as_far_as_they_are_decided(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = {"controller": {"kind": "perplexity-change", "every": "3 steps"}}
    write(recipe, stages=[{**IN_ORDER[0], "tokens": 5000, **moved}, {**IN_ORDER[1], "tokens": 2000}])
    assert export(recipe, "--output", tmp_path / "out") == 1
    assert "Nothing is decided yet: the mixture follows losses" in said(capsys)
    measured = Measured(bits_per_byte=2.0, standard_error=0.1, nats_per_token=2.0)
    assert sapwood.stream(recipe, runs=tmp_path / "runs").report({"zh": measured})
    assert export(recipe, "--output", tmp_path / "out") == 0
    assert "Only 1,536 of 6,976 tokens are decided" in said(capsys)
    assert len(read(tmp_path / "out")) == 24
    assert export(recipe, "--output", tmp_path / "other", "--stage", "enhancement") == 1
    assert "Nothing of stage 'enhancement' is decided yet" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--stage", "adaption"), "has no stage 'adaption'. Did you mean 'adaptation'?"),
        (("--stage", "adaptation", "--tokens", "1K"), "--stage and --tokens exclude each other"),
        (("--tokens", "5"), "less than one sequence of 64 tokens"),
        (("--tokens", "much"), "--tokens much: expected a number of tokens"),
        (("--shard-tokens", "0"), "--shard-tokens is 0"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    recipe: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], expected: str
) -> None:
    assert export(recipe, *arguments) == 1
    assert expected in said(capsys)


def test_directories_with_other_things_are_left_alone(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "stream-mine").write_text("mine")
    assert export(recipe, "--output", output) == 1
    assert f"{output} holds other files" in said(capsys)
    assert (output / "stream-mine").read_text() == "mine"
    assert export(recipe, "--output", tmp_path / "first", "--tokens", "1K") == 0
    assert export(recipe, "--output", tmp_path / "first", "--tokens", "2K") == 1
    assert "first holds another export" in said(capsys)


def test_sources_must_be_prepared(tiny_recipe: TinyRecipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tiny_recipe(name="unprepared")) == 1
    assert "The source 'web-zh' is not prepared yet: `sapwood prepare` does that." in said(capsys)
