"""The kinds of fields that a recipe is made of: quantities with units, and parts that take nothing unknown."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from sapwood.recipe.units import (
    Interval,
    format_rate,
    format_share,
    format_tokens,
    parse_bytes,
    parse_rate,
    parse_share,
    parse_tokens,
)

_QUANTITY: dict[str, Any] = {"type": ["number", "string"]}


def _positive(value: int) -> int:
    if value <= 0:
        raise ValueError("expected more than 0")
    return value


Tokens = Annotated[
    int,
    PlainValidator(parse_tokens),
    AfterValidator(_positive),
    PlainSerializer(format_tokens),
    WithJsonSchema({**_QUANTITY, "examples": ["20M", "92.5B"]}),
]
Bytes = Annotated[int, PlainValidator(parse_bytes), WithJsonSchema({**_QUANTITY, "examples": ["4MiB"]})]
Share = Annotated[
    Fraction,
    PlainValidator(parse_share),
    PlainSerializer(format_share),
    WithJsonSchema({**_QUANTITY, "examples": [7, 0.25, "20%", "1/3"]}),
]
Rate = Annotated[
    float | Fraction | Literal["final"],
    PlainValidator(parse_rate),
    PlainSerializer(format_rate),
    WithJsonSchema({**_QUANTITY, "examples": [1e-5, "10%", "final"]}),
]
Stretch = Annotated[
    Interval,
    PlainValidator(Interval.parse),
    PlainSerializer(str),
    WithJsonSchema({**_QUANTITY, "examples": ["10B", "200 steps", "30min"]}),
]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=NAME)]

Aim = Literal["gain", "retention"]
"""What is wanted of an ability: that it gets better, or that it stays as it is."""

MUTABLE = {"mutable": True}
"""Marks fields that may change between the start of a run and its resumption: they do not touch the training."""


MEASURING = {"mutable": "where no stage looks at losses"}
"""Marks fields that decide what is measured between rounds, and so the mixture, where a stage looks at losses."""


class Strict(BaseModel):
    """A part of the recipe: unknown fields are errors, nothing is converted silently, nothing changes later."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True
    )
    renamed: ClassVar[Mapping[str, str]] = {}
    """Former names of fields, to what they are called now: the error about one says so."""


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


Paths = Annotated[list[str], BeforeValidator(_one_or_more), Field(json_schema_extra=MUTABLE)]
"""Paths, globs or URLs: one, or a list."""
