"""A run as an object: its recipe, its directory, what stands there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapwood.errors import SapwoodError
from sapwood.mixture.decided import RUNS, recipe_file
from sapwood.mixture.decided import open_run as find_run
from sapwood.mixture.domains import domains_of
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.open import open_stream, read_sizes
from sapwood.mixture.plan import Plan, make_plan
from sapwood.mixture.stream import Stream
from sapwood.recipe import Recipe
from sapwood.recipe import load_recipe as read_recipe
from sapwood.report.run_view import RunView
from sapwood.runs.directory import RunDirectory
from sapwood.runs.lock import hold
from sapwood.runs.metrics import reached

if TYPE_CHECKING:
    import pyarrow as pa

    from sapwood.evaluation.comparison import Comparison
    from sapwood.statistics.change import Change
    from sapwood.training.dataset import StreamDataset


@contextmanager
def writing(directory: Path, *, replaced: bool = False, timeout: timedelta | None = None) -> Iterator[None]:
    """Holds a directory that a command writes into (`lock.hold`). Of several ranks the first does, and tells others.

    `timeout` is how long these ranks wait for each other from then on (`Ranks.join`). Raises SapwoodError, on all
    ranks, where another command writes there.
    """
    with ExitStack() as stack:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            stack.enter_context(hold(directory, replaced=replaced))
        else:
            from sapwood.device.ranks import Ranks

            def enter() -> None:
                stack.enter_context(hold(directory, replaced=replaced))

            Ranks.join(timeout).of_first(enter)
        yield


@dataclass(frozen=True, slots=True)
class Run:
    """A run, begun or not. Its properties read its directory anew each time."""

    recipe: Recipe
    directory: RunDirectory
    file: Path | None = None
    """The file that the recipe was read from: errors name its lines."""

    @property
    def plan(self) -> Plan:
        """What will be trained on, by what is known of the sources now; not checked (`sapwood.plan` does)."""
        return make_plan(self.recipe, read_sizes(self.recipe, self.directory))

    @property
    def ledger(self) -> Ledger:
        """What was decided, round by round. Read only."""
        return self.view.ledger

    @property
    def model(self) -> Path:
        """The directory of the adapted model. Raises SapwoodError where there is none yet."""
        if not self.directory.model.exists():
            raise SapwoodError(f"There is no adapted model in {self.directory.model}: `sapwood.train` makes it.")
        return self.directory.model

    def metrics(self) -> pa.Table:
        """The logged steps, a row each, columns as in `StepMetrics`; `.to_pandas()` where pandas is at hand."""
        import pyarrow as pa

        return pa.Table.from_pylist([asdict(step) for step in self.view.steps])

    @property
    def view(self) -> RunView:
        """What the run's directory says now, as records that are read when they are asked for."""
        return RunView(self.recipe, self.directory)

    @property
    def changes(self) -> list[Change]:
        """Gain and retention on held-out text: the change of every ability that the recipe names, with its interval.

        Raises SapwoodError where the base model or the adapted one is not evaluated.
        """
        return self.view.changes

    @property
    def comparisons(self) -> list[Comparison]:
        """Every evaluated model of the run against its base model, suite by suite of the recipe's benchmarks.

        Raises SapwoodError where results cannot be compared.
        """
        view = self.view
        if view.unread:
            raise SapwoodError(view.unread)
        return list(view.comparisons)


def open_run(
    recipe: Run | Recipe | str | Path,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    runs: str | Path = RUNS,
) -> Run:
    """The run of a recipe, which is kept in `runs` in a directory of its name; or the run in a run's directory.

    `overrides` set fields of a recipe that is read from a file, by dotted path: `{"training.batch_tokens": "8K"}`, or
    `["training.batch_tokens=8K"]`. Nothing is written. Raises SapwoodError, with lines, where the recipe is wrong.
    """
    if isinstance(recipe, Run | Recipe):
        if overrides:
            raise SapwoodError("Fields are set when a recipe is read: load_recipe(path, {...}), open_run(path, {...}).")
        return recipe if isinstance(recipe, Run) else Run(recipe, RunDirectory(Path(runs) / recipe.name))
    path = Path(recipe)
    loaded, directory = find_run(path, written(overrides), Path(runs))
    return Run(loaded, directory, recipe_file(path))


def open_begun(path: Path) -> tuple[RunDirectory, Stream]:
    """The run in a directory, which has begun to train, and its stream. Raises SapwoodError where there is none."""
    if not (path / "ledger.jsonl").exists():
        raise SapwoodError(f"{path} is not the directory of a run that has begun: it has no ledger.jsonl.")
    run = open_run(path)
    ledger, log = run.ledger, run.directory.metrics
    ledger.require(reached(log), log)
    domains = domains_of(run.recipe, read_sizes(run.recipe, run.directory))
    return run.directory, open_stream(run.recipe, run.directory, ledger, domains)


def load_recipe(path: str | Path, overrides: Mapping[str, Any] | Iterable[str] = ()) -> Recipe:
    """Reads and checks a recipe; `overrides` as in `open_run`. Raises SapwoodError, with all mistakes and lines."""
    return read_recipe(Path(path), written(overrides))


def written(overrides: Mapping[str, Any] | Iterable[str]) -> list[str]:
    """Overrides as the command line has them, `path=value` with the value in YAML."""
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{path}={_yaml(value)}" for path, value in overrides.items()]


def labels(paths: Sequence[str]) -> dict[str, str]:
    """What each of several models or runs is called: the end of its path, as much of it as tells it from the others.

    Raises SapwoodError where one is named twice.
    """
    parts = {path: tuple(part for part in re.split(r"[/\\@:]+", path) if part) for path in paths}
    if len(set(parts.values())) < len(paths):
        raise SapwoodError("The same is named twice: nothing can be compared with itself.")
    depth = 1
    while len({names[-depth:] for names in parts.values()}) < len(parts):
        depth += 1
    return {"-".join(names[-depth:]): path for path, names in parts.items()}


def _yaml(value: Any) -> str:
    """A value in YAML. Text is written as the command line takes it, so that `8K` and `1e-5` mean the same here."""
    import orjson

    return value if isinstance(value, str) else orjson.dumps(value).decode()


def stream(
    run_or_recipe: str | Path,
    rank: int = 0,
    world_size: int = 1,
    *,
    batch_size: int = 1,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    runs: str | Path = RUNS,
) -> StreamDataset:
    """The decided stream of a run, or of a recipe, as a dataset of torch (`StreamDataset`), for any trainer.

    `rank` and `world_size` say which part of the stream this process gets; `batch_size` is that of the DataLoader.
    """
    from sapwood.training.dataset import StreamDataset

    given = written(overrides)
    return StreamDataset(run_or_recipe, rank, world_size, batch_size=batch_size, overrides=given, runs=runs)
