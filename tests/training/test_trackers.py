"""Every tracker for real: what it was given is read back from what it wrote. Those not installed are skipped."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.training.track import open_trackers

STEPS = [(1, {"train/loss": 3.0, "train/loss/web-zh": 3.5}), (2, {"train/loss": 2.5, "train/loss/web-zh": 3.0})]
AGAIN = [(2, {"train/loss": 9.0, "train/loss/web-zh": 9.0}), (3, {"train/loss": 2.0, "train/loss/web-zh": 2.5})]
"""Of the process that goes on after step 1: step 2 is done again."""
LOSSES = [(1, 3.0), (2, 2.5), (3, 2.0)]
"""What is to be read back."""
SECRET = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def log_run(
    tiny_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], RunDirectory]:
    """Logs a run to a tracker, stops, and goes on."""
    monkeypatch.chdir(tmp_path)

    def log(kind: str) -> RunDirectory:
        recipe = load_recipe(tiny_recipe(), [f"training.trackers=[{kind}]"])
        run = RunDirectory(tmp_path / "runs" / "tiny")
        for resumed, rows in ((0, STEPS), (1, AGAIN)):
            with open_trackers(recipe, run, resumed) as trackers:
                for step, values in rows:
                    trackers.log(step, values)
        assert {path.name for path in tmp_path.iterdir()} <= {"runs", "recipe.yaml", "trackio"} | {
            path.name for path in tmp_path.glob("*.jsonl")
        }, "a tracker wrote elsewhere than beside the run"
        return run

    return log


def test_tensorboard(log_run: Callable[[str], RunDirectory]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = log_run("tensorboard")
    events = EventAccumulator(str(run.root / "trackers" / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == LOSSES
    assert [event.value for event in events.Scalars("train/loss/web-zh")] == [3.5, 3.0, 2.5]
    (recipe,) = events.Tensors("recipe/text_summary")
    assert b'    "batch_tokens": "512"' in recipe.tensor_proto.string_val[0]


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file of wandb: LevelDB's log format, blocks of 32 KiB after seven bytes of its own."""
    place, record = 7, b""
    while place + 7 <= len(content):
        length, part = struct.unpack_from("<HB", content, place + 4)
        if part == 0:  # nothing more fits into the block
            place += 32768 - place % 32768
            continue
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # all of a record, or its end
            yield record
            record = b""
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768


def test_wandb(log_run: Callable[[str], RunDirectory], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    directory = log_run("wandb").root / "trackers"
    losses, ids, config = [], set(), {}
    for path in sorted(directory.glob("wandb/wandb/offline-run-*/*.wandb")):
        for content in records(path.read_bytes()):
            record = Record.FromString(content)
            if record.HasField("run"):
                ids.add(record.run.run_id)
                config |= {item.key: item.value_json for item in record.run.config.update}
            values = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            if "step" in values:
                losses.append((int(values["step"]), float(values["train/loss"])))
    assert losses == LOSSES
    assert len(ids) == 1
    assert '"batch_tokens":"512"' in config["training"].replace(" ", "")
    assert not [path for path in directory.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_wandb_without_a_key(tiny_recipe: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from sapwood.runs.directory import RunDirectory\n"
        "from sapwood.recipe import load_recipe\n"
        "from sapwood.training.track import open_trackers\n"
        f"recipe = load_recipe(Path({str(tiny_recipe())!r}), ['training.trackers=[wandb]'])\n"
        "with open_trackers(recipe, RunDirectory(Path('run')), 0):\n"
        "    pass\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = {**kept, "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_MODE": "online"}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL)
    assert b"SapwoodError: The tracker 'wandb' does not open: " in done.stderr


def test_mlflow(log_run: Callable[[str], RunDirectory], monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    database = log_run("mlflow").root / "trackers" / "mlflow" / "mlflow.db"
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("sapwood")
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == LOSSES
    assert run.data.metrics["train/loss/web-zh"] == 2.5
    assert run.data.params["training.batch_tokens"] == "512"
    assert run.data.params["stages.1.name"] == "enhancement"
    assert (run.info.run_name, run.info.status) == ("tiny", "FINISHED")


def test_mlflow_on_another_server(log_run: Callable[[str], RunDirectory], monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    for name in ("one", "two"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///runs/{name}.db")
        Path("runs").mkdir(exist_ok=True)
        log_run("mlflow")
    client = mlflow.MlflowClient("sqlite:///runs/two.db")
    (run,) = client.search_runs([client.get_experiment_by_name("sapwood").experiment_id])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2, 3]


def test_trackio(log_run: Callable[[str], RunDirectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    import trackio.sqlite_storage
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setattr(trackio.sqlite_storage, "TRACKIO_DIR", tmp_path / "trackio")
    log_run("trackio")
    (database,) = (tmp_path / "trackio").rglob("sapwood*.db")
    assert [name for (name,) in sqlite3.connect(database).execute("select distinct run_name from metrics")] == ["tiny"]
    logs = SQLiteStorage.get_logs("sapwood", "tiny")
    assert [(row["step"], row["train/loss"]) for row in logs] == LOSSES
    assert SQLiteStorage.get_run_config("sapwood", "tiny")["training"]["batch_tokens"] == "512"
