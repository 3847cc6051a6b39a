"""The one error that users meet: it says what was found, where, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_options: ContextVar[bool] = ContextVar("options", default=False)
"""Whether messages are for someone at the command line, who writes options and no arguments."""


class SapwoodError(Exception):
    """Something the user can put right. The command line prints the message alone, without a traceback."""


def argument(name: str, value: Any = None) -> str:
    """An argument of a function of `sapwood`, perhaps with a value, as whoever reads the message would write it.

    At the command line a tuple is one value with commas, and a mapping one option for each of its items.

    >>> argument("max_epochs"), argument("with_base", (0.25, 1.0)), argument("tokens", {"web-zh": "20M"})
    ('max_epochs', 'with_base=(0.25, 1.0)', "tokens={'web-zh': '20M'}")
    >>> with naming_options():
    ...     argument("max_epochs"), argument("with_base", (0.25, 1.0)), argument("tokens", {"web-zh": "20M"})
    ('--max-epochs', '--with-base 0.25,1', '--tokens web-zh=20M')
    """
    if not _options.get():
        return name if value is None else f"{name}={value!r}"
    option = f"--{name.replace('_', '-')}"
    if value is None or value is True:
        return option
    if isinstance(value, Mapping):
        return " ".join(f"{option} {key}={part}" for key, part in value.items())
    parts = value if isinstance(value, tuple) else (value,)
    return f"{option} {','.join(f'{part:g}' if isinstance(part, float) else str(part) for part in parts)}"


@contextmanager
def naming_options() -> Iterator[None]:
    """Inside, messages name the options of the command line (`argument`)."""
    before = _options.set(True)
    try:
        yield
    finally:
        _options.reset(before)


def closest(name: str, allowed: Iterable[str]) -> str:
    """A sentence that names the nearest allowed word, or else lists the allowed ones.

    >>> closest("tokns", ["tokens", "name"])
    "Did you mean 'tokens'?"
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    return "Allowed here: " + ", ".join(f"'{item}'" for item in names) + "."
