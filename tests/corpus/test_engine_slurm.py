"""The engine for Slurm. Its commands are stood in for by scripts that really run the submitted job, task after task."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import engine_blocks
from engine_blocks import ITEMS, Shorten, WriteItems, items, run_items, written
from sapwood.corpus.annotate import Step, annotate
from sapwood.corpus.engine import check_engine
from sapwood.corpus.engines import slurm as module
from sapwood.corpus.store import SourceStore
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine

pytestmark = pytest.mark.slow

OPTIONS = {"partition": "cpu", "time": "1:00:00"}
SLURM = Engine(kind="slurm", workers=2, options=OPTIONS)

COMMANDS = {
    "sbatch": r"""
        [ -e $SLURM_STATE/refuse ] && { echo 'sbatch: error: Invalid partition' >&2; exit 1; }
        id=$((101 + $(ls $SLURM_STATE | grep -c '^job-')))
        script=$SLURM_STATE/job-$id.sh
        cp "${@: -1}" $script
        for argument; do
            case $argument in --export=ALL,*) export "${argument#--export=ALL,}" ;; esac
        done
        last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' $script)
        output=$(sed -n 's/^#SBATCH --output=//p' $script)
        touch $SLURM_STATE/queued-$id
        run() {
            for task in $(seq 0 $last); do
                log=${output//%A/$id}
                [ -e $SLURM_STATE/lose ] || env PATH=$SLURM_NODE_PATH SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=$id \
                    SLURM_SUBMIT_DIR=$PWD bash $script > ${log//%a/$task} 2>&1
            done
            rm -f $SLURM_STATE/queued-$id
        }
        set -m
        run > /dev/null 2>&1 &
        echo $! > $SLURM_STATE/process-$id
        echo "Submitted batch job $id"
    """,
    "squeue": r"ls $SLURM_STATE | sed -n 's/^queued-//p'",
    "scancel": r"""
        [ -e $SLURM_STATE/forgets ] && exit
        for id; do
            echo $id >> $SLURM_STATE/cancelled
            kill -- -$(cat $SLURM_STATE/process-$id)
            rm -f $SLURM_STATE/queued-$id
        done
    """,
    "sacct": "printf 'OUT_OF_MEMORY\nCANCELLED by 0\nCOMPLETED\n'",
    "srun": r"""
        while [ "${1#-}" != "$1" ]; do [ "$1" = -n ] && shift; shift; done
        exec "$@"
    """,
}


@pytest.fixture
def slurm(stand_ins: Callable[[dict[str, str]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the stand-ins on PATH; gives the directory of what they know."""
    commands, state = stand_ins(COMMANDS), tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("SLURM_STATE", str(state))
    monkeypatch.setenv("SLURM_NODE_PATH", f"{commands}:/usr/bin:/bin")  # not that of the Python environment
    monkeypatch.setenv("PYTHONPATH", str(Path(engine_blocks.__file__).parent))  # for `engine_blocks`
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.3)
    return state


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def jobs(state: Path) -> list[Path]:
    return sorted(state.glob("job-*"))


def test_the_files_are_those_of_the_local_engine(
    slurm: Path,
    make_store: Callable[..., SourceStore],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    stores = []
    for engine in (Engine(workers=1), SLURM):
        store = make_store([f"text {number} " * (number % 7) for number in range(20)], root=Path(engine.kind))
        annotate(store, Step(name="short", annotator=Shorten(), settings={}), engine)
        stores.append({path.name: path.read_bytes() for path in store.step("short").glob("*.parquet")})
    assert stores[0] == stores[1]
    assert len(stores[0]) == 3
    said = capfd.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) <= 2, said.err  # the two lines of progress
    (job,) = jobs(slurm)
    script = job.read_text()
    for line in ("partition=cpu", "time=1:00:00", "array=0-2%2", "job-name=web-short"):
        assert f"#SBATCH --{line}\n" in script
    assert "qos" not in script


def test_options_reach_the_script(slurm: Path, out: Path) -> None:
    options = {**OPTIONS, "qos": "high", "mem_per_cpu_gb": 4, "sbatch_args": {"account": "me"}, "tasks_per_job": 2}
    options["env_command"] = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH MARK=here"
    run_items(WriteItems(out), out / "logs", Engine(kind="slurm", options=options), tasks=3)
    assert items(out) == written()
    script = jobs(slurm)[0].read_text()
    for line in ("qos=high", "mem-per-cpu=4G", "account=me", "array=0-1"):
        assert f"#SBATCH --{line}\n" in script
    assert "MARK=here\n" in script


def test_several_arrays_where_one_may_not_be_long(slurm: Path, out: Path) -> None:
    engine = Engine(kind="slurm", options={**OPTIONS, "max_array_size": 2})
    run_items(WriteItems(out), out / "logs", engine, tasks=3)
    assert items(out) == written()
    assert len(jobs(slurm)) == 2


def test_what_a_block_says_to_the_user(slurm: Path, out: Path) -> None:
    block = WriteItems(out, {0: "refuse", 1: "hang"})
    with pytest.raises(SapwoodError, match=r"^the source says: no$"):
        run_items(block, out / "logs", SLURM, tasks=3)
    assert (slurm / "cancelled").read_text() == "101\n"
    (out / "logs" / "completions" / "00001").touch()
    run_items(block, out / "logs", SLURM, tasks=3)
    assert items(out).keys() == {f"{item}.txt" for item in range(ITEMS) if item % 3 != 1}
    assert "#SBATCH --array=0-1%2\n" in jobs(slurm)[1].read_text()


def test_an_error_names_its_traceback(slurm: Path, out: Path) -> None:
    with pytest.raises(RuntimeError, match="task 0 stopped with LookupError: odd") as caught:
        run_items(WriteItems(out, {0: "odd"}), out / "logs", SLURM, tasks=1)
    assert str(out / "logs" / "failures" / "00000.json") in str(caught.value)


def test_a_job_that_is_gone(slurm: Path, out: Path) -> None:
    (slurm / "lose").touch()
    message = r"the Slurm job 101 has ended \(CANCELLED, OUT_OF_MEMORY\), and 3 of its 3 tasks are not complete"
    with pytest.raises(SapwoodError, match=message) as caught:
        run_items(WriteItems(out), out / "logs", SLURM, tasks=3)
    assert str(out / "logs" / "slurm_logs") in str(caught.value)
    (slurm / "lose").unlink()
    run_items(WriteItems(out), out / "logs", SLURM, tasks=3)
    assert items(out) == written()


def test_a_task_that_is_killed(slurm: Path, out: Path) -> None:
    with pytest.raises(SapwoodError, match="1 of its 2 tasks are not complete"):
        run_items(WriteItems(out, {0: "kill"}), out / "logs", SLURM, tasks=2)


def test_an_interrupted_run_cancels_its_job(slurm: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_items(WriteItems(out), out / "logs", SLURM, tasks=2)
    assert (slurm / "cancelled").read_text() == "101\n"
    assert not list(slurm.glob("queued-*"))


def test_a_job_that_still_runs_is_waited_for(slurm: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (slurm / "forgets").touch()  # as if the process had been killed, and could not cancel the job
    with monkeypatch.context() as patch:
        patch.setattr(module, "_wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_items(WriteItems(out), out / "logs", SLURM, tasks=3)
    run_items(WriteItems(out), out / "logs", SLURM, tasks=3)
    assert items(out) == written()
    assert len(jobs(slurm)) == 1


def test_sbatch_refuses(slurm: Path, out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (slurm / "refuse").touch()
    with pytest.raises(SapwoodError, match="sbatch refused the job and says why above"):
        run_items(WriteItems(out), out / "logs", SLURM, tasks=3)
    assert "Invalid partition" in capfd.readouterr().err


def test_no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SapwoodError, match="needs `sbatch`, which is not on this machine's PATH"):
        check_engine(SLURM)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
