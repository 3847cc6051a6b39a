"""All trials of a study: prepared once, run one after another or side by side, each in a process of its own."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sapwood.errors import SapwoodError, argument
from sapwood.files import remove_leftovers
from sapwood.mixture.decided import RUNS
from sapwood.progress import track
from sapwood.runs.lock import hold
from sapwood.runs.metrics import read_metrics
from sapwood.studies.directory import StudyDirectory, TrialResult
from sapwood.studies.plan import planned
from sapwood.studies.search import all_arms, solve_study
from sapwood.studies.study import Study, load_study
from sapwood.studies.trials import Arm, Trial, arms_of, by_seed
from sapwood.studies.worker import Worker, WorkOrder

Reporter = Callable[[Trial, TrialResult], None]


@dataclass(frozen=True, slots=True)
class StudyRun:
    """A study as far as it was run."""

    study: Study
    directory: StudyDirectory
    arms: tuple[Arm, ...]
    failed: dict[str, str]
    """Why trials failed, by their names."""
    waiting: tuple[str, ...]
    """Trials that were not run: the hours of the budget are spent, or Ctrl-C was pressed."""

    @property
    def finished(self) -> bool:
        """Whether every trial was run, failed ones among them."""
        return not self.waiting


def run_study(
    study: Study | str | Path,
    runs: str | Path = RUNS,
    *,
    jobs: int = 1,
    reporter: Reporter = lambda trial, result: None,
) -> StudyRun:
    """Runs what is not finished of a study, `jobs` trials at a time. Called again, it continues; failed trials are
    tried again, new arms and seeds are run, finished trials are not.

    `reporter` is told of each trial when it ends. Trials are runs of the pipeline on this machine: of several GPUs
    every job has one of its own. A trial that fails stops no other. Raises SapwoodError as `plan_study` does, and where
    the documents cannot be prepared.
    """
    loaded = study if isinstance(study, Study) else load_study(study)
    directory = StudyDirectory(Path(runs) / loaded.name)
    plan = planned(loaded, directory, all_arms(loaded, directory), "run")
    with hold(directory.root), _workers(jobs) as workers:
        remove_leftovers(directory.root)
        _prepare(by_seed(arms_of(loaded)), directory, workers[0])
        found = _run(loaded, directory, workers, reporter)
        if loaded.draw is not None and found.finished and not directory.solution.exists():
            solve_study(loaded, directory, plan.primaries)
            found = _run(loaded, directory, workers, reporter)
    return found


def _run(study: Study, directory: StudyDirectory, workers: list[Worker], reporter: Reporter) -> StudyRun:
    """Runs what is not finished and does not wait for other trials."""
    arms = [arm for arm in all_arms(study, directory) if not arm.waits]
    trials = by_seed(arms)
    results = {trial.name: trial.result(directory) for trial in trials}
    todo = [trial for trial in trials if not _is_finished(results[trial.name])]
    waiting: queue.SimpleQueue[Trial] = queue.SimpleQueue()
    for trial in todo:
        waiting.put(trial)
    spent = sum(result.seconds for result in results.values() if result is not None)
    stopped = threading.Event()
    lock = threading.Lock()

    def work(worker: Worker) -> None:
        nonlocal spent
        while not stopped.is_set() and (trial := _next(waiting)) is not None:
            with lock:
                over = study.budget.hours is not None and spent >= 3600 * study.budget.hours
            if over:
                waiting.put(trial)
                return
            started = time.monotonic()
            error = worker.do(_order(trial, directory, "trial", directory.shared(trial.shares_with).root))
            if error is None:
                stopped.set()
                waiting.put(trial)
                return
            with lock:
                seconds = time.monotonic() - started
                spent += seconds
                before = results[trial.name]
                result = TrialResult(
                    trial.fingerprint, seconds + (before.seconds if before else 0.0), _trained(trial, directory), error
                )
                directory.record(trial.name, result)
                results[trial.name] = result
                reporter(trial, result)
                advance(1)

    progress = track("Trials", len(trials), done=len(trials) - len(todo))
    with progress as advance, ThreadPoolExecutor(len(workers)) as pool:
        ended = [pool.submit(work, worker) for worker in workers]
        try:
            for future in ended:
                future.result()
        except KeyboardInterrupt:
            stopped.set()  # the trials were told too: they save and stop
        except BaseException:
            stopped.set()
            raise
    left = tuple(trial.name for trial in iter(lambda: _next(waiting), None))
    failed = {name: result.error for name, result in results.items() if result is not None and not result.finished}
    return StudyRun(
        study, directory, tuple(arms), {name: why for name, why in failed.items() if name not in left}, left
    )


def _is_finished(result: TrialResult | None) -> bool:
    return result is not None and result.finished


def _next(waiting: queue.SimpleQueue[Trial]) -> Trial | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None


def _prepare(trials: Iterable[Trial], directory: StudyDirectory, worker: Worker) -> None:
    """Prepares the documents, tokens and base measurements that trials share, once for all that agree in them.

    A preparation begins with what another one made, so that arms which differ in one source prepare that one again.
    """
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(trial.shares_with, trial)
    for shared, trial in first.items():
        run = directory.shared(shared)
        ready = run.root / "ready"
        if ready.exists():
            continue
        others = [path.parent for path in sorted(directory.shared("").root.glob("*/ready"))]
        error = worker.do(_order(trial, directory, "prepare", others[0] if others else None))
        if error is None:
            raise KeyboardInterrupt
        if error:
            raise SapwoodError(f"The documents of arm '{trial.arm.label}' cannot be prepared: {error}")
        ready.touch()


def _order(trial: Trial, directory: StudyDirectory, kind: str, donor: Path | None) -> WorkOrder:
    prepares = kind == "prepare"
    run = directory.shared(trial.shares_with) if prepares else directory.trial(trial.name)
    return WorkOrder(
        kind="prepare" if prepares else "trial",
        recipe=str(trial.arm.file),
        overrides=trial.arm.overrides(trial.seed),
        directory=str(run.root),
        takes="" if donor is None else str(donor),
        log=str(directory.log(f"prepare-{trial.shares_with}" if prepares else trial.name)),
    )


def _trained(trial: Trial, directory: StudyDirectory) -> int:
    try:
        steps = read_metrics(directory.trial(trial.name).metrics)
    except SapwoodError:  # of a trial that failed
        return 0
    return steps[-1].tokens if steps else 0


@contextmanager
def _workers(jobs: int) -> Iterator[list[Worker]]:
    """As many workers as trials run at a time; what each may use of the machine is in its environment."""
    if jobs < 1:
        raise SapwoodError(f"{argument('jobs', jobs)}: write how many trials run at a time, 1 or more")
    workers = [Worker(_place(number, jobs)) for number in range(jobs)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def _place(number: int, jobs: int) -> dict[str, str]:
    """A GPU for each of several jobs, and a part of the cores: jobs that each use all are slower than one."""
    if jobs == 1:
        return {}
    import torch

    found: dict[str, str] = {}
    if torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
        names = visible.split(",")
        found["CUDA_VISIBLE_DEVICES"] = names[number % len(names)]
    if "OMP_NUM_THREADS" not in os.environ:
        found["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // jobs))
    return found
