"""Runs tasks as a Slurm job array, with datatrove's `SlurmPipelineExecutor`, and waits for the array to end.

The blocks travel as datatrove sends them: pickled (by dill) into `executor.pik` in the logs, which the array's tasks
read. Every node must have the same Python environment, and see the run directory under the same path.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.utils.logging import logger

from sapwood.corpus.engines.job import Job, check_options, types_of
from sapwood.errors import SapwoodError
from sapwood.files import read_json, write_json

LOOK_SECONDS = 10.0
"""How often the queue is looked at."""
GRACE_SECONDS = 60.0
"""How long after the end of the job completion marks may still come into sight: network file systems take a while."""

_JOBS = "slurm_jobs.json"
_OURS = (
    *("pipeline", "tasks", "workers", "logging_dir", "skip_completed", "slurm_logs_folder", "job_id_retriever"),
    *("depends", "depends_job_id", "run_on_dependency_fail", "nodes_per_task", "requeue_signals"),
)
"""Arguments of datatrove's executor that are not for the user to choose."""


def check_slurm(options: Mapping[str, Any]) -> None:
    """Raises SapwoodError where Slurm is not at hand, or an option is unknown, of the wrong type, or missing."""
    types = types_of(SlurmPipelineExecutor.__init__, without=_OURS)
    check_options("slurm", options, types, needed=("partition", "time"))
    for command in ("sbatch", "squeue", "scancel"):
        if shutil.which(command) is None:
            raise SapwoodError(
                f"The slurm engine needs `{command}`, which is not on this machine's PATH. Run this where Slurm jobs "
                f"are submitted."
            )


def run_on_slurm(job: Job, ranks: Sequence[int], workers: int | None, options: Mapping[str, Any]) -> None:
    """Submits the tasks as a job array, at most `workers` at once, and waits until it has ended.

    An array of this job that is still in the queue, because the process that waited for it was killed, is waited for
    instead. When a task fails, or this process is interrupted, the array is cancelled.

    Raises what `Job.error` makes of what a block raises, and SapwoodError where `sbatch` refuses the job, or the job
    ends without the tasks being complete.
    """
    record = job.logs / _JOBS
    remedy = f"Remove {record}, once no job of this work is in the queue."
    ids = read_json(record, remedy)["ids"] if record.exists() else []
    if not _queued(ids):
        ids = _submit(job, workers, options)
        write_json(record, {"ids": ids})
    try:
        left = _wait(job, ids)
        failure = job.failure(left)
        if failure is not None:
            raise job.error(failure)
        if left:
            raise SapwoodError(_gone(job, ids, len(left), ranks))
    except BaseException:
        subprocess.run(["scancel", *ids], capture_output=True, check=False)
        raise


def _submit(job: Job, workers: int | None, options: Mapping[str, Any]) -> list[str]:
    executor = _Executor(job, workers, options)
    logger.disable("datatrove")  # it writes to the console what is in the logs
    try:
        executor.launch_job()
    except subprocess.CalledProcessError as error:
        raise SapwoodError(
            f"{job.title}: sbatch refused the job and says why above (exit code {error.returncode}). The script is "
            f"{job.logs / 'launch_script.slurm'}; correct `options` of `engine`."
        ) from None
    return executor.ids


def _wait(job: Job, ids: Sequence[str]) -> list[int]:
    """Waits until all tasks are complete, or one has failed, or the jobs are gone. The tasks that are not complete."""
    seen = time.monotonic()
    while True:
        left = job.incomplete()
        if not left or job.failure(left) is not None:
            return left
        if _queued(ids):
            seen = time.monotonic()
        elif time.monotonic() - seen > GRACE_SECONDS:
            return left
        time.sleep(LOOK_SECONDS)


def _queued(ids: Sequence[str]) -> bool:
    """Whether one of the jobs waits or runs. While Slurm's controller does not answer, they are taken to."""
    if not ids:
        return False
    queue = subprocess.run(["squeue", "--noheader", "--me", "--format=%F"], capture_output=True, text=True, check=False)
    return queue.returncode != 0 or not set(ids).isdisjoint(queue.stdout.split())


def _gone(job: Job, ids: Sequence[str], left: int, ranks: Sequence[int]) -> str:
    states = ""
    if shutil.which("sacct"):
        command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=State", f"--jobs={','.join(ids)}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        found = {line.split()[0] for line in answer.stdout.splitlines() if line.strip()} - {"COMPLETED"}
        states = f" ({', '.join(sorted(found))})" if found else ""
    return (
        f"{job.title}: the Slurm job {', '.join(ids)} has ended{states}, and {left} of its {len(ranks)} tasks are not "
        f"complete. What they said is in {job.logs / 'slurm_logs'}. What is done is kept; the same command continues."
    )


class _Executor(SlurmPipelineExecutor):  # type: ignore[misc]
    """datatrove's executor, with our tasks, and in the Python environment of this process unless another is named."""

    def __init__(self, job: Job, workers: int | None, options: Mapping[str, Any]) -> None:
        settings = {"job_name": job.title.replace(": ", "-").replace(" ", "-"), "qos": "", **options}
        if not {"env_command", "condaenv", "venv_path"} & set(options):
            settings["env_command"] = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
        super().__init__(
            pipeline=job.blocks,
            tasks=job.tasks,
            workers=workers or -1,
            logging_dir=str(job.logs),
            job_id_retriever=self._take_id,
            **settings,
        )
        self.job = job
        self.ids: list[str] = []

    def _take_id(self, answer: str) -> str:
        self.ids.append(answer.split()[self.job_id_position])
        return self.ids[-1]

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> None:
        with suppress(KeyError):
            os.chdir(os.environ["SLURM_SUBMIT_DIR"])  # paths may be relative
        failure = self.job.attempt_task(rank)
        if failure is not None:
            raise self.job.error(failure)

    def save_executor_as_json(self, indent: int = 4) -> None:
        """Nothing: the job has written what there is to know."""

    def launch_merge_stats(self) -> None:
        """Nothing: that would be one more job in the queue."""
