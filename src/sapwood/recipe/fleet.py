"""Servers that a job starts where its engine has room: many GPUs, and no server that is always there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sapwood.recipe.data import Engine
from sapwood.recipe.fields import Strict


class Fleet(Strict):
    """Servers of one model that are started where the engine has room, answer what waits, and end."""

    serve: Literal["vllm", "sglang", "endpoint"] = "vllm"
    """What is started; `endpoint` starts nothing: the tasks ask the server at the model's `url`."""
    engine: Engine = Engine()
    """Where the tasks run: on this machine one after the other, or on Slurm or Ray."""
    tasks: Annotated[int, Field(gt=0, le=64)] = 1
    """Parts into which the requests are divided: each is a task of the engine with a server of its own."""
    weights: str | None = None
    """What is loaded: a directory, or a name on the Hub. Without it, the name of the model."""
    context: Annotated[int, Field(gt=0)] = 8192
    """The longest prompt and answer together, in tokens."""
    tensor_parallel: Annotated[int, Field(gt=0)] = 1
    """GPUs over which the model is laid."""
    options: dict[str, str | int | float | bool] = {}
    """More arguments of the server, without their dashes: `{gpu-memory-utilization: 0.9, enforce-eager: true}`."""

    @model_validator(mode="after")
    def _nothing_to_start(self) -> Fleet:
        if self.serve == "endpoint" and (self.weights or self.options or self.tensor_parallel > 1):
            raise ValueError("'endpoint' starts no server: leave out 'weights', 'tensor_parallel' and 'options'")
        return self
