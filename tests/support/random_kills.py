"""Kills whole runs at random moments, and compares what comes of them with a run that was left alone.

    python tests/support/random_kills.py --kills 200 --seed 1 --log kills.log

A run is killed again and again, with the signal that no process can catch, until it ends; then the next begins. The
log says of every kill how long the run had been at work, and what the last files were that it had written.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from rank_processes import started, warm
from small_faults import put_recipe, results_of

LIMIT = 300.0
"""Seconds after which a run that is left alone is taken for one that hangs."""


@dataclass(frozen=True, slots=True)
class Kills:
    """What came of it."""

    kills: int
    runs: int
    different: int
    failed: int
    """Runs that ended otherwise than by our hand, and not well."""


def kill_at_random(place: Path, backbone: Path, kills: int, seed: int, tell: Callable[[str], None]) -> Kills:
    """Kills the run of a small recipe in `place` so many times, and lets the last one end."""
    recipe = put_recipe(place, backbone)
    run = place / "runs" / "tiny"

    def start() -> BaseProcess:
        return started(_run, [(recipe, place / "runs")])[0]

    warm()
    begun = time.monotonic()
    start().join(LIMIT)
    duration = time.monotonic() - begun
    expected = results_of(run)
    shutil.rmtree(run)
    rng = random.Random(seed)
    done = runs = different = failed = 0
    while done < kills or run.exists():
        child = start()
        moment = rng.uniform(0.01, 0.9) * duration if done < kills else LIMIT
        child.join(moment)
        if child.exitcode is None:
            child.kill()
            child.join()
            done += 1
            tell(f"seed {seed}, kill {done}: after {moment:.3f} s, {_last_written(run)}")
            continue
        runs += 1
        failed += child.exitcode != 0
        same = child.exitcode == 0 and results_of(run) == expected
        different += not same
        tell(f"seed {seed}, run {runs} ended with {child.exitcode}: {'the same' if same else 'DIFFERENT'}")
        shutil.rmtree(run)
    return Kills(done, runs, different, failed)


def _run(recipe: Path, runs: Path) -> None:
    import torch

    from sapwood.cli.main import main

    torch.set_num_threads(1)
    sys.argv = ["sapwood", "run", str(recipe), "--runs", str(runs)]
    main()


def _last_written(run: Path) -> str:
    files = [path for path in run.rglob("*") if path.is_file()]
    newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
    return "nothing was written" if newest is None else f"last {newest.relative_to(run)}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backbone", type=Path, required=True, help="The directory of a small model.")
    parser.add_argument("--log", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, arguments.log.open("a") as log:

        def tell(line: str) -> None:
            print(line, file=log, flush=True)

        found = kill_at_random(Path(place), arguments.backbone, arguments.kills, arguments.seed, tell)
        tell(str(found))
    sys.exit(bool(found.different))


if __name__ == "__main__":
    main()
