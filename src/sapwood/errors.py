"""The one error that users meet: it says what was found, where, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SapwoodError(Exception):
    """Something the user can put right. The command line prints the message alone, without a traceback."""


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
