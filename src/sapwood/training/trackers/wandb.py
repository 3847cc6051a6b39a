"""Weights & Biases. The environment says who logs and where: WANDB_API_KEY, WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE.

Without WANDB_PROJECT it is the project `sapwood`."""

from __future__ import annotations

import os
from collections.abc import Mapping

import wandb

from sapwood.training.trackers.backend import PROJECT, Opening


class WeightsAndBiases:
    """A run of Weights & Biases, the same one after every restart.

    Our steps are an axis of their own: its own count of rows only ever rises, and would refuse what is measured at the
    step from which a run continues.
    """

    def __init__(self, opening: Opening) -> None:
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


open_backend = WeightsAndBiases
