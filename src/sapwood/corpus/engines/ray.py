"""Runs tasks on a Ray cluster.

The options are called as those of datatrove's `RayPipelineExecutor`, and mean the same, but the tasks go to Ray
directly: that executor runs each of them in a process pool inside an actor, which waits for ever when the pool's
process is killed, and tells nobody what a block raised.

Every node must have the same Python environment, and see the run directory under the same path.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sapwood.corpus.engines.job import Failure, Job, check_options
from sapwood.errors import SapwoodError
from sapwood.progress import console

OPTIONS: dict[str, Any] = {
    "address": str,
    "cpus_per_task": Annotated[float, Field(gt=0)],
    "gpus_per_task": Annotated[float, Field(ge=0)],
    "mem_per_cpu_gb": Annotated[float, Field(ge=0)],
    "ray_remote_kwargs": dict[str, Any],
}
"""`address`: as for `ray.init`; without it, the cluster that `ray start` or `RAY_ADDRESS` made known, and `local` for
one that lives as long as this process. The others are what a task reserves, by default 1 CPU and 2 GB (GiB) for each,
and further arguments of `ray.remote`."""

_GIB = 2**30
_ATTEMPTS = 3
"""How often a task is tried whose process or node was lost."""


def check_ray(options: Mapping[str, Any]) -> None:
    """Raises SapwoodError where Ray is not installed, or an option is unknown or of the wrong type."""
    check_options("ray", options, OPTIONS)
    try:
        import ray  # noqa: F401
    except ImportError:
        raise SapwoodError("The ray engine needs Ray: pip install 'sapwood[ray]'.") from None


def run_on_ray(job: Job, ranks: Sequence[int], workers: int | None, options: Mapping[str, Any]) -> None:
    """Runs the tasks, at most `workers` at once, and waits for them. A task whose node is lost is tried again.

    Raises what `Job.error` makes of what a block raises; SapwoodError where no cluster can be reached, or a task's
    process is killed again and again. What else is running then is cancelled.
    """
    import ray
    from ray import exceptions

    cpus, gpus = options.get("cpus_per_task", 1), options.get("gpus_per_task", 0)
    memory = int(options.get("mem_per_cpu_gb", 2) * cpus * _GIB)
    _connect(options.get("address", "auto"), None if workers is None else max(1, round(workers * cpus)))
    _tell_if_nothing_fits({"CPU": cpus, "GPU": gpus, "memory": memory})
    reserve = {"num_cpus": cpus, "num_gpus": gpus, "memory": memory, **options.get("ray_remote_kwargs", {})}
    attempt = ray.remote(_attempt).options(max_retries=0, **reserve)
    everywhere = ray.put(job)
    waiting, lost = deque(ranks), Counter[int]()
    running: dict[Any, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (workers or len(ranks)):
                rank = waiting.popleft()
                running[attempt.remote(everywhere, Path.cwd(), rank)] = rank
            for reference in ray.wait(list(running))[0]:
                rank = running.pop(reference)
                try:
                    failure = ray.get(reference)
                except (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError):
                    lost[rank] += 1
                    if lost[rank] == _ATTEMPTS:
                        raise job.killed(f"was killed {_ATTEMPTS} times in task {rank}") from None
                    waiting.append(rank)
                except exceptions.RayError as error:
                    raise SapwoodError(
                        f"{job.title}: Ray could not run task {rank}. Every node needs the same Python environment and "
                        f"must see {job.logs} under the same path. {str(error).strip().splitlines()[-1]}"
                    ) from None
                else:
                    if failure is not None:
                        raise job.error(failure)
    finally:
        for reference in running:
            ray.cancel(reference)  # by force, a task that is just done takes this process with it (Ray 2.60)


def _attempt(job: Job, directory: Path, rank: int) -> Failure | None:
    os.chdir(directory)  # paths may be relative
    return job.attempt_task(rank)


def _connect(address: str, cpus: int | None) -> None:
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What was raised in tasks that were not waited for any more is in the logs.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    alone = {"num_cpus": cpus, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False, **alone)
    except ConnectionError as error:
        where = "is running here" if address == "auto" else f"answers at '{address}'"
        raise SapwoodError(
            f"No Ray cluster {where}. Start one with `ray start --head`, or write its `address` under `options` of "
            f"`engine` (`local` for one on this machine alone).\n{error}"
        ) from None


def _tell_if_nothing_fits(needed: Mapping[str, float]) -> None:
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
        console.print(
            f"No node of the Ray cluster has {needed['CPU']:g} CPUs, {needed['GPU']:g} GPUs and "
            f"{needed['memory'] / _GIB:.1f} GiB now; tasks wait for one. Let a task reserve less: `cpus_per_task`, "
            f"`mem_per_cpu_gb`, `gpus_per_task` under `options` of `engine`."
        )
