"""Compares formulas with math-verify: a program that reads pairs and writes verdicts, one JSON value a line.

A formula that somebody else wrote may take any time and memory to work out (`9^{9^9}`), also inside code that cannot be
interrupted. So this runs as a process of its own, which the system ends when it takes too much; `grader` starts it
again.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from collections.abc import Sequence
from typing import Any

from sapwood.answers.numbers import TOLERANCE

READY = "ready"
"""The first line that is written."""
CPU_SECONDS = 3
"""What one comparison may take."""
MEMORY_BYTES = 2 * 2**30
"""What the process may take."""


def compare(given: str, other: str) -> bool | None:
    """Whether two formulas in LaTeX are the same; None where one of them cannot be read."""
    from math_verify import verify

    ours, theirs = parse(given), parse(other)
    if ours is None or theirs is None:
        return None
    one, two = _number(ours), _number(theirs)
    if one is not None and two is not None and (_is_rounded(ours) or _is_rounded(theirs)):
        # math-verify rounds to six places, where all small numbers are 0. Of an integer nothing is rounded.
        exact = _is_integer(ours) or _is_integer(theirs)
        return math.isclose(one, two, rel_tol=1e-12 if exact else float(TOLERANCE))
    return bool(verify([ours], [theirs], timeout_seconds=None) or verify([theirs], [ours], timeout_seconds=None))


def parse(formula: str) -> Any | None:
    """The formula as an object of sympy; None where it cannot be read."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig
    from math_verify import parse as extract

    # Units are taken off before; math-verify would take `5 km` and `5 m` for the same.
    normalisation = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
    whole = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=normalisation)
    found = extract(f"${formula}$", [whole], fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found else None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None


def _is_rounded(value: Any) -> bool:
    from sympy import Float

    return bool(value.has(Float))


def _is_integer(value: Any) -> bool:
    return not _is_rounded(value) and getattr(value, "is_integer", None) is True


def main() -> None:
    """Answers until there is no more input: `[a, b]` with `compare`, `[a]` with whether it can be read."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # whatever a library prints must not come between
    import math_verify  # noqa: F401 - takes its time once, before the first pair

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    print(json.dumps(READY), file=answers, flush=True)
    for line in sys.stdin:
        _allow(CPU_SECONDS)
        print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)


def _answer(formulas: Sequence[str]) -> bool | None:
    try:
        return compare(formulas[0], formulas[1]) if len(formulas) == 2 else parse(formulas[0]) is not None
    except Exception:  # sympy and the parser raise whatever comes up; none of it says that formulas are equal
        return None


def _allow(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + seconds, hard))


if __name__ == "__main__":
    main()
