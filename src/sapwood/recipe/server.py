"""A model behind a server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, a provider."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sapwood.recipe.fields import MUTABLE, Stretch, Strict
from sapwood.recipe.units import Interval


def _time(value: Interval) -> Interval:
    if value.unit != "seconds":
        raise ValueError("expected a time such as 90s or 10min")
    return value


class Price(Strict):
    """What a server charges, or costs, for a million tokens."""

    prompt: Annotated[float, Field(ge=0)]
    """Of a million tokens read."""
    completion: Annotated[float, Field(ge=0)]
    """Of a million tokens written."""
    currency: str = "USD"
    """In what."""


class ModelServer(Strict):
    """A model, and where it answers. Only `model` and `revision` decide what it says."""

    url: Annotated[str, Field(json_schema_extra=MUTABLE)]
    """The root of the interface, such as `http://localhost:8000/v1`."""
    model: str
    """The model's name on that server."""
    revision: str | None = None
    """The version of the model, where its name does not say it: written down with all that it answers."""
    key: Annotated[str | None, Field(json_schema_extra=MUTABLE)] = None
    """The environment variable that holds the server's key."""
    parallel: Annotated[int, Field(gt=0, json_schema_extra=MUTABLE)] = 16
    """Requests under way at once."""
    timeout: Annotated[Stretch, AfterValidator(_time), Field(json_schema_extra=MUTABLE)] = Interval(10 * 60, "seconds")
    """How long one answer may take, from the request to its last byte."""
    requests_per_minute: Annotated[int | None, Field(gt=0, json_schema_extra=MUTABLE)] = None
    """The server's limit, where it has one."""
    tokens_per_minute: Annotated[int | None, Field(gt=0, json_schema_extra=MUTABLE)] = None
    """The same of tokens, read and written."""
    price: Annotated[Price | None, Field(json_schema_extra=MUTABLE)] = None
    """What its tokens cost."""

    @property
    def label(self) -> str:
        """The model and its revision, wherever it is served."""
        return self.model if self.revision is None else f"{self.model}@{self.revision}"


class Fleet(Strict):
    """Servers of one model that are started where the engine has room, answer what is in batch files, and end."""

    serve: Literal["vllm", "sglang", "endpoint"] = "vllm"
    """What is started; `endpoint` starts nothing, and asks the server that is described elsewhere."""
    model: str | None = None
    """What is loaded: a directory, or a name on the Hub. Without it, the name of the model that is asked."""
    context: Annotated[int, Field(gt=0)] = 8192
    """The longest prompt and answer together, in tokens."""
    tensor_parallel: Annotated[int, Field(gt=0)] = 1
    """GPUs over which the model is laid."""
    tasks: Annotated[int, Field(gt=0, le=64)] = 1
    """Parts into which the requests are divided: each is a task of the engine with a server of its own."""
    options: dict[str, str | int | float | bool] = {}
    """More arguments of the server, without their dashes: `{gpu-memory-utilization: 0.9, enforce-eager: true}`."""

    @model_validator(mode="after")
    def _nothing_to_start(self) -> Fleet:
        if self.serve == "endpoint" and (self.model or self.options or self.tensor_parallel > 1):
            raise ValueError("'endpoint' starts no server: leave out 'model', 'tensor_parallel' and 'options'")
        return self
