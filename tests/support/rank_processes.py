"""Ranks as processes forked from one that has loaded torch: many starts cost little."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from sapwood.device.ranks import Ranks
from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.pipeline.train import train_run
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.training.checkpoint import State
from sapwood.training.engine import Engine
from sapwood.training.saving import Saver
from small_runs import prepare_and_train

PRELOADED = ["sapwood.training.loop", "sapwood.evaluation.evaluator", "sapwood.pipeline.train", "small_runs"]
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


def started(work: object, arguments: list[tuple[object, ...]]) -> list[BaseProcess]:
    """Begins `work` in a process for each of the arguments."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    children = [context.Process(target=work, args=given) for given in arguments]
    for child in children:
        child.start()
    return children


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
