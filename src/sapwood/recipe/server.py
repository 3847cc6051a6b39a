"""A model behind a server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, a provider."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

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

    url: Annotated[str, Field(json_schema_extra=MUTABLE)] = "http://localhost:8000/v1"
    """The root of the interface. Without it, where vLLM answers on this machine."""
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
