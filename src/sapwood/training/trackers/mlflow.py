"""MLflow, at MLFLOW_TRACKING_URI or else in a database beside the run; in MLFLOW_EXPERIMENT_NAME or else `sapwood`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

from sapwood.training.trackers.backend import PROJECT, Opening


class MLflow:
    """A run of MLflow, the same one after every restart."""

    def __init__(self, opening: Opening) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{opening.directory.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(uri)
        self.id = self._continue(opening.known) or self._create(opening)

    def _continue(self, known: str | None) -> str | None:
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
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run = str(self._client.create_run(number, run_name=opening.name).info.run_id)
        fields = iter(_flat(opening.config))
        while params := [Param(key, value) for key, value in islice(fields, MAX_PARAMS_TAGS_PER_BATCH)]:
            self._client.log_batch(run, params=params)
        return run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Sends the values, and waits for the answer."""
        now = int(time.time() * 1000)
        metrics = iter([Metric(name, value, now, step) for name, value in values.items()])
        while batch := list(islice(metrics, MAX_METRICS_PER_BATCH)):
            self._client.log_batch(self.id, metrics=batch)

    def close(self, failed: bool) -> None:
        """Says how the run ended."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of the recipe with their places, such as `stages.0.tokens`: MLflow knows no other form."""
    if isinstance(value, dict | list) and value:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(part, f"{place}.{key}" if place else str(key))
    else:
        yield place, str(value)[:MAX_PARAM_VAL_LENGTH]


open_backend = MLflow
