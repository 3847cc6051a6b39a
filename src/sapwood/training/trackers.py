"""TensorBoard, Weights & Biases, MLflow and trackio. Their packages are imported when a run asks for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import orjson

from sapwood.recipe.schema import Tracker

PROJECT = "sapwood"
"""Where a tracker files a run, unless its own environment variable says otherwise."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a tracker is opened with."""

    name: str
    """Of the run."""
    config: dict[str, Any]
    """The recipe with every default, as JSON; secrets in addresses are taken out."""
    directory: Path
    """Where a tracker may keep files beside the run. It exists."""
    known: str | None
    """What the tracker calls the run, if it was begun there before."""


class Backend(Protocol):
    """A run that is open in a tracker. All calls come from the same thread, which is not the main one."""

    @property
    def id(self) -> str:
        """What the tracker calls the run; with it the run is found again after a restart."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the values of a step."""

    def close(self, failed: bool) -> None:
        """Hands over what is still on its way, and closes the run."""


class TensorBoard:
    """Event files beside the run, `tensorboard --logdir RUN/trackers/tensorboard`. Every restart adds one."""

    def __init__(self, opening: Opening) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.id = opening.name
        self._writer = SummaryWriter(str(opening.directory))
        if opening.known is None:
            recipe = orjson.dumps(opening.config, option=orjson.OPT_INDENT_2).decode()
            code = "".join(f"    {line}\n" for line in recipe.splitlines())  # text is shown as Markdown
            self._writer.add_text("recipe", code)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes a point for every value; they are in the file when this returns."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, failed: bool) -> None:
        """Closes the event file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, the same one after every restart.

    The environment says who logs and where: WANDB_API_KEY, WANDB_PROJECT (or else `sapwood`), WANDB_ENTITY, WANDB_MODE.
    Our steps are an axis of their own: its own count of rows only ever rises, and would refuse what is measured at the
    step from which a run continues.
    """

    def __init__(self, opening: Opening) -> None:
        import wandb

        # No code, no changes of a repository and no output of the console are sent: only what is logged here.
        quiet = wandb.Settings(console="off", silent=True, disable_code=True, disable_git=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=opening.name,
            id=opening.known,
            resume="allow",
            config=opening.config,
            allow_val_change=True,
            dir=opening.directory,
            settings=quiet,
        )
        self.id = str(self._run.id)
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Hands a row to the process that sends them."""
        self._run.log({"step": step, **values})

    def close(self, failed: bool) -> None:
        """Waits until everything is sent."""
        self._run.finish(exit_code=int(failed))


class MLflow:
    """A run of MLflow, the same one after every restart.

    At MLFLOW_TRACKING_URI or else in a database beside the run; in MLFLOW_EXPERIMENT_NAME or else `sapwood`.
    """

    def __init__(self, opening: Opening) -> None:
        from mlflow import MlflowClient

        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{opening.directory.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(uri)
        self.id = self._continue(opening.known) or self._create(opening)

    def _continue(self, known: str | None) -> str | None:
        from mlflow.exceptions import MlflowException

        if known is None:
            return None
        try:
            self._client.update_run(known, status="RUNNING")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # it was begun on another server
                return None
            raise
        return known

    def _create(self, opening: Opening) -> str:
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run = str(self._client.create_run(number, run_name=opening.name).info.run_id)
        fields = iter(_flat(opening.config))
        while params := [
            Param(key, value[:MAX_PARAM_VAL_LENGTH]) for key, value in islice(fields, MAX_PARAMS_TAGS_PER_BATCH)
        ]:
            self._client.log_batch(run, params=params)
        return run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Sends the values, and waits for the answer."""
        from mlflow.entities import Metric
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        now = int(time.time() * 1000)
        metrics = iter([Metric(name, value, now, step) for name, value in values.items()])
        while batch := list(islice(metrics, MAX_METRICS_PER_BATCH)):
            self._client.log_batch(self.id, metrics=batch)

    def close(self, failed: bool) -> None:
        """Says how the run ended."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


class Trackio:
    """A run of trackio, the same one after every restart. It is known by its name: the newest of that name goes on.

    In TRACKIO_DIR, or wherever the environment says (TRACKIO_SPACE_ID, TRACKIO_SERVER_URL).
    """

    def __init__(self, opening: Opening) -> None:
        import trackio

        self.id = opening.name
        self._run = trackio.init(
            os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=opening.name,
            config=opening.config,
            resume="never" if opening.known is None else "allow",
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Hands the values to the thread that stores them."""
        self._run.log(dict(values), step=step)

    def close(self, failed: bool) -> None:
        """Waits until everything is stored."""
        self._run.finish()


BACKENDS: dict[Tracker, tuple[str, Callable[[Opening], Backend]]] = {
    "tensorboard": ("torch.utils.tensorboard", TensorBoard),
    "wandb": ("wandb", WeightsAndBiases),
    "mlflow": ("mlflow", MLflow),
    "trackio": ("trackio", Trackio),
}
"""What each tracker imports, and what opens it."""


def require_package(kind: Tracker) -> None:
    """Raises ImportError where the package of a tracker is not installed."""
    import_module(BACKENDS[kind][0])


def open_backend(kind: Tracker, opening: Opening) -> Backend:
    """Opens a tracker. Its package may raise anything."""
    return BACKENDS[kind][1](opening)


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of the recipe with their places, such as `stages.0.tokens`: MLflow knows no other form."""
    if isinstance(value, dict | list) and value:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(part, f"{place}.{key}" if place else str(key))
    else:
        yield place, str(value)
