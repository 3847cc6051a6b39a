"""The `options` of an engine: checked by name and type against what they are passed on to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from sapwood.errors import SapwoodError, closest


def check_options(kind: str, options: Mapping[str, Any], types: Mapping[str, Any], needed: Iterable[str] = ()) -> None:
    """Raises SapwoodError for an option that is unknown or of the wrong type, and where a needed one is missing."""
    for name, value in options.items():
        if name not in types:
            known = closest(name, types) if types else "It takes none."
            raise SapwoodError(f"The {kind} engine has no option '{name}'. {known}")
        try:
            TypeAdapter(types[name]).validate_python(value, strict=True)
        except ValidationError as error:
            raise SapwoodError(
                f"Option '{name}' of the {kind} engine is {value!r}: {error.errors()[0]['msg']}."
            ) from None
    missing = [name for name in needed if name not in options]
    if missing:
        raise SapwoodError(f"The {kind} engine needs '{missing[0]}'. Write it under `options` of `engine`.")


def types_of(function: Callable[..., Any], without: Iterable[str]) -> dict[str, Any]:
    """The arguments that a function takes, and their types."""
    hints = get_type_hints(function)
    return {
        name: hints.get(name, Any)
        for name in inspect.signature(function).parameters
        if name != "self" and name not in without
    }
