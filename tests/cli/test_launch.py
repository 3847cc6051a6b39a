"""Scripts for schedulers: what is in them, and that they train. Slurm's commands are stood in for by scripts."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML
from torch.distributed.run import get_args_parser as run_parser
from typer.testing import CliRunner

from sapwood.cli import launch
from sapwood.cli.main import VERBS, app
from sapwood.errors import SapwoodError
from sapwood.files import read_json, read_lines
from sapwood.mixture.decided import open_run
from sapwood.pipeline.prepare import prepare_run
from sapwood.runs.directory import RunDirectory

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "launching"
TinyRecipe = Callable[..., Path]
LONG = [{"name": "adaptation", "tokens": 30_000, "mixture": {"zh": 8, "en": 2}}]
"""Some seconds of training."""
SHORT = [{"name": "adaptation", "tokens": 1024, "mixture": {"zh": 8, "en": 2}}]


def launched(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["launch", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has scripts only write down, in this file, that they plan and prepare, as the one for one machine really does."""
    written, python = tmp_path / "calls.txt", tmp_path / "python"
    python.write_text(
        f'#!/bin/bash\ncase $3 in plan|prepare) echo $* | tee -a {written} ;; *) exec {sys.executable} "$@" ;; esac\n'
    )
    python.chmod(0o700)
    monkeypatch.setattr(launch, "sys", SimpleNamespace(executable=str(python)))
    return written


def prepare(path: Path, *overrides: str) -> RunDirectory:
    recipe, run = open_run(path, overrides, path.parent / "runs")
    prepare_run(recipe, run)
    return run


def check_syntax(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def start(script: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Starts a script in a session of its own."""
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(["bash", str(script)], cwd=script.parent, env=surroundings, start_new_session=True)


def steps(run: RunDirectory) -> list[int]:
    return [line["step"] for line in read_lines(run.metrics)]


def wait_for_steps(run: RunDirectory, process: subprocess.Popen[bytes]) -> None:
    while len(steps(run)) < 3:
        assert process.poll() is None, "it ended before it had trained"
        time.sleep(0.05)


def test_on_one_machine(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "runs" / "tiny")
    script = tmp_path / "train.sh"
    launched(tiny_recipe(stages=SHORT), "--gpus-per-node", 2, "--runs", tmp_path / "runs", "--output", script)
    assert start(script).wait(900) == 0
    assert read_json(run.environment)["ranks"] == 2
    assert (run.model / "model.safetensors").exists()


def test_a_process_may_open_as_many_files_as_the_system_lets_it(tiny_recipe: TinyRecipe) -> None:
    """And GPUs get segments that grow, where the user has said nothing else."""
    script = launched(tiny_recipe()).split("\n")
    lines = [line for line in script if line.startswith(("ulimit", "export PYTORCH"))]
    shown = "\n".join(["ulimit -Sn 100", *lines, 'echo "$(ulimit -Sn) $(ulimit -Hn) $PYTORCH_ALLOC_CONF"'])
    for own, expected in ({}, "expandable_segments:True"), ({"PYTORCH_ALLOC_CONF": "backend:native"}, "backend:native"):
        done = subprocess.run(
            ["bash"], input=shown, text=True, capture_output=True, env={"PATH": "/bin", **own}, check=True
        )
        soft, hard, allocator = done.stdout.split()
        assert (soft, allocator) == (hard, expected)


def test_on_two_machines(tiny_recipe: TinyRecipe, tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PORT", 29571)
    path, script = tiny_recipe(stages=SHORT), tmp_path / "train.sh"
    run = prepare(path)
    launched(path, "--nodes", 2, "--runs", tmp_path / "runs", "--output", script)
    machines = [start(script, HEAD="localhost", NODE=str(number)) for number in (1, 0)]
    assert [machine.wait(900) for machine in machines] == [0, 0]
    assert [line.split()[2] for line in calls.read_text().splitlines()] == ["plan", "prepare"], "on the first alone"
    assert read_json(run.environment)["ranks"] == 2
    assert (run.model / "model.safetensors").exists()


COMMANDS = {
    "srun": r"""
        while [ "${1#-}" != "$1" ]; do
            case $1 in --output=*) log=${1#--output=}; log=${log//%j/$SLURM_JOB_ID}; log=${log//%N/node} ;; esac
            shift
        done
        [ -e $SLURM_STATE/fail ] && exit 3
        exec "$@" >> $log 2>&1 &
        echo $! > $SLURM_STATE/step
        trap 'kill -KILL $!' TERM  # as Slurm's does
        wait $!
    """,
    "scancel": r"""
        [ "$*" = "--signal=TERM $SLURM_JOB_ID" ] && kill -TERM $(cat $SLURM_STATE/step)
    """,
    "scontrol": r"""
        case $1 in
            show) echo localhost ;;
            requeue) echo $2 >> $SLURM_STATE/requeued ;;
        esac
    """,
}


@pytest.fixture
def slurm(stand_ins: Callable[[dict[str, str]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the stand-ins on PATH; gives the directory of what they know."""
    stand_ins(COMMANDS)
    state = tmp_path / "state"
    state.mkdir()
    for name, value in {"STATE": str(state), "JOB_ID": "7", "JOB_NODELIST": "localhost", "CPUS_PER_TASK": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return state


def test_a_slurm_job_goes_back_into_the_queue_until_the_run_is_finished(
    tiny_recipe: TinyRecipe, tmp_path: Path, calls: Path, slurm: Path
) -> None:
    path, script = tiny_recipe(stages=LONG), tmp_path / "train.sbatch"
    seldom = "training.checkpoints.every=1h"
    run = prepare(path, seldom)
    arguments = ("--on", "slurm", "--runs", tmp_path / "runs", "--output", script)
    launched(path, seldom, *arguments)
    job = start(script)
    wait_for_steps(run, job)
    job.terminate()  # Slurm tells the script, and nobody else, that the time is nearly up
    assert job.wait(900) == 0
    assert (slurm / "requeued").read_text() == "7\n"
    stopped = steps(run)[-1]
    assert [path.name for path in run.checkpoints.iterdir()] == [f"step-{stopped:08d}"]
    assert start(script).wait(900) == 0
    assert (slurm / "requeued").read_text() == "7\n", "a finished run is not trained again"
    assert steps(run) == [*range(1, -(-30_000 // 512) + 1)]
    log = (run.root / "logs" / "7-node.log").read_text()
    told = [line for line in log.splitlines() if line.startswith("-m sapwood")]
    assert told == calls.read_text().splitlines(), "what it plans is in the log"
    assert [line.split()[2] for line in told] == ["plan", "prepare"] * 2
    assert "Continuing after step" in log


def test_a_slurm_job_that_fails_stays_out_of_the_queue(tiny_recipe: TinyRecipe, tmp_path: Path, slurm: Path) -> None:
    script = tmp_path / "train.sbatch"
    launched(tiny_recipe(), "--on", "slurm", "--runs", tmp_path / "runs", "--output", script)
    (slurm / "fail").touch()
    assert start(script).wait(60) == 3
    assert not (slurm / "requeued").exists()


def test_options_of_slurm(tiny_recipe: TinyRecipe) -> None:
    wishes = ("--set", "time=2-00:00:00", "--set", "partition=gpu", "--set", "account=me")
    script = launched(tiny_recipe(), "--on", "slurm", "--nodes", 4, "--gpus-per-node", 8, *wishes, "--no-prepare")
    check_syntax(script)
    lines = script.splitlines()
    head = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")]
    for option in (
        *("job-name=tiny", "nodes=4", "ntasks-per-node=1", "gpus-per-node=8", "cpus-per-task=64", "requeue"),
        *("time=2-00:00:00", "partition=gpu", "account=me", "signal=B:TERM@360"),
    ):
        assert head.count(option) == 1, option
    assert lines[0] == "#!/bin/bash"
    assert "--nnodes=4" in script
    assert "sapwood prepare" not in script


def test_the_example_for_kubernetes() -> None:
    service, job = YAML(typ="safe").load_all((EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8"))
    name = job["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["name"] == name
    assert service["spec"]["selector"] == {"job-name": name}
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (pod["subdomain"], pod["restartPolicy"], spec["completionMode"]) == (name, "OnFailure", "Indexed")
    (container,) = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert int(environment["NODES"]) == spec["completions"] == spec["parallelism"]
    assert int(environment["GPUS"]) == container["resources"]["limits"]["nvidia.com/gpu"]
    assert environment["HEAD"] == f"{name}-0.{name}"
    (script,) = container["args"]
    check_example(script, JOB_COMPLETION_INDEX="0", **environment)
    grace = int(script.split("TORCH_ELASTIC_SHUTDOWN_TIMEOUT=")[1].split()[0])
    assert pod["terminationGracePeriodSeconds"] > grace


def test_the_example_for_skypilot() -> None:
    task: dict[str, Any] = YAML(typ="safe").load((EXAMPLES / "skypilot.yaml").read_text(encoding="utf-8"))
    assert task["resources"]["use_spot"] is True
    assert list(task["volumes"]) == ["/runs"]
    environment = {"NODE_RANK": "0", "NODE_IPS": "here\nthere", "NUM_NODES": "2", "NUM_GPUS_PER_NODE": "8"}
    check_example(task["run"], **{f"SKYPILOT_{name}": value for name, value in environment.items()})


def check_example(script: str, **environment: str) -> None:
    """Runs the first node's script with stand-ins that print how they are called: verbs and options are real ones."""
    said = 'python() { echo "python $*"; }; sapwood() { echo "sapwood $*"; }\n'
    script = said + script.replace("exec python", "python")
    run = subprocess.run(
        ["bash"], input=script, text=True, check=True, capture_output=True, env=os.environ | environment
    )
    plan, prepare, train = run.stdout.splitlines()
    for verb, line in (("plan", plan), ("prepare", prepare), ("train", train)):
        assert verb in VERBS
        assert f"sapwood {verb} recipe.yaml --runs" in line
    options = run_parser().parse_args(shlex.split(train.removeprefix("python -m torch.distributed.run ")))
    assert (options.nnodes, options.nproc_per_node, options.rdzv_backend) == ("2", "8", "c10d")
    assert options.rdzv_conf == "is_host=1"


def test_arguments_arrive_as_they_were_given(tiny_recipe: TinyRecipe) -> None:
    override = "evaluation.samples.prompts=[\"it's $HOME\", '`date` \\\\ %j {{ 7 }}']"
    for script in (launched(tiny_recipe(), override, "--on", "slurm"), launched(tiny_recipe(), override)):
        (line,) = [line for line in script.splitlines() if line.startswith("arguments=")]
        command = ["bash", "-c", f'{line}; printf "%s" "${{arguments[1]}}"']
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == override


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "time=1"), "torchrun has no options"),
        (("--on", "slurm", "--set", "time"), "expected NAME=VALUE"),
        (("--on", "slurm", "--set", "time=1\n#SBATCH --wrap=x"), "expected NAME=VALUE"),
        (("stages.0.tokens=10",), "10 tokens are less than one sequence"),
    ],
)
def test_what_cannot_work_is_refused(tiny_recipe: TinyRecipe, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(SapwoodError) as caught:
        launched(tiny_recipe(), *arguments)
    assert message in str(caught.value)


def test_more_processes_than_sequences(tiny_recipe: TinyRecipe) -> None:
    result = CliRunner().invoke(app, ["launch", str(tiny_recipe()), "--nodes", "2", "--gpus-per-node", "8"])
    assert result.exit_code == 0
    assert "Stage 'adaptation' has 8 sequences in a batch, and there are 16 processes" in result.stderr
    result = CliRunner().invoke(app, ["launch", str(tiny_recipe()), "--gpus-per-node", "8"])
    assert result.stderr == ""
