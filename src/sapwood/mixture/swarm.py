"""The table of many small runs: for each its mixture, and the losses it ended with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sapwood.errors import SapwoodError
from sapwood.mixture.laws import Array
from sapwood.recipe.units import parse_share

SHARE, LOSS = "share.", "loss."
SUM_TOLERANCE = 0.01
"""Shares written with few digits do not sum to 1 exactly; up to this they are scaled to."""
LEAST_MIXTURES = 3
_SHOWN_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Swarm:
    """Runs that differ in their mixture."""

    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    mixtures: Array
    """[rows, domains]; every row sums to 1."""
    losses: Array
    """[rows, metrics]; positive."""
    places: tuple[str, ...]
    """Where each row stood, such as `swarm.csv:2`."""
    unused: tuple[str, ...] = ()
    """Columns that are neither shares nor losses."""

    @property
    def different(self) -> int:
        """How many different mixtures there are."""
        return len(np.unique(self.mixtures.round(9), axis=0))

    @property
    def directions(self) -> int:
        """In how many directions the mixtures vary, the total among them; one for each domain is all."""
        return int(np.linalg.matrix_rank(self.mixtures, tol=1e-6))


def make_swarm(rows: Iterable[tuple[str, Mapping[str, object]]], table: str) -> Swarm:
    """Reads rows, each with its place, whose keys are `share.DOMAIN` and `loss.METRIC`; others are left alone.

    Shares are numbers or such as `20%` and `1/3`, and sum to 1 in every row. `table` names the table in messages.
    Raises SapwoodError with all that is wrong, each with its place.
    """
    found = list(rows)
    columns = list(dict.fromkeys(name for _, row in found for name in row))
    domains = tuple(name.removeprefix(SHARE) for name in columns if name.startswith(SHARE))
    metrics = tuple(name.removeprefix(LOSS) for name in columns if name.startswith(LOSS))
    unused = tuple(name for name in columns if not name.startswith((SHARE, LOSS)))
    if not found:
        raise SapwoodError(f"{table}: there are no rows. Write one for every run that was measured.")
    _check_columns(table, domains, metrics, unused)
    wrong: list[str] = []
    mixtures = np.zeros((len(found), len(domains)))
    losses = np.zeros((len(found), len(metrics)))
    for number, (place, row) in enumerate(found):
        read = len(wrong)
        for column, domain in enumerate(domains):
            mixtures[number, column] = _number(row, SHARE + domain, place, wrong)
        for column, metric in enumerate(metrics):
            losses[number, column] = _number(row, LOSS + metric, place, wrong)
        total = mixtures[number].sum()
        if len(wrong) == read and abs(total - 1) > SUM_TOLERANCE:
            wrong.append(f"{place}: the shares sum to {total:.4g}; write shares that sum to 1")
    if wrong:
        more = [f"and {len(wrong) - _SHOWN_ERRORS} more"] if len(wrong) > _SHOWN_ERRORS else []
        raise SapwoodError("\n".join(wrong[:_SHOWN_ERRORS] + more))
    mixtures /= mixtures.sum(axis=1, keepdims=True)
    swarm = Swarm(domains, metrics, mixtures, losses, tuple(place for place, _ in found), unused)
    if swarm.different < LEAST_MIXTURES:
        raise SapwoodError(
            f"{table}: found {swarm.different} different mixture{'s' if swarm.different > 1 else ''} in {len(found)} "
            f"row{'s' if len(found) > 1 else ''}; nothing can be fitted to less than {LEAST_MIXTURES}. For "
            f"{len(domains)} domains, measure {len(domains) + 2} or more, better {3 * (len(domains) + 1)}"
        )
    return swarm


def _check_columns(table: str, domains: tuple[str, ...], metrics: tuple[str, ...], unused: tuple[str, ...]) -> None:
    others = f" The columns are {', '.join(map(repr, unused))}." if unused else ""
    if not domains or not metrics:
        kind, form = ("shares", "share.DOMAIN") if not domains else ("losses", "loss.METRIC")
        raise SapwoodError(f"{table}: there is no column of {kind}. Name them {form}, such as {form.lower()}.{others}")
    if len(domains) == 1:
        raise SapwoodError(f"{table}: there is one domain, '{domains[0]}', so nothing to choose. Write two or more.")
    near = [name for name in unused if name.lower().startswith(("share", "los"))]
    if near:
        raise SapwoodError(f"{table}: column '{near[0]}' is nearly a name: write share.DOMAIN or loss.METRIC")


def _number(row: Mapping[str, object], column: str, place: str, wrong: list[str]) -> float:
    value = row.get(column)
    is_share = column.startswith(SHARE)
    instead = "write 0 where a domain is not in the mixture" if is_share else "leave out the row, or the whole column"
    if value is None or (isinstance(value, str) and not value.strip()):
        wrong.append(f"{place}: {column} is missing; {instead}")
        return 0.0
    try:
        number = float(parse_share(value)) if is_share else float(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        expected = "a share such as 0.25, 20% or 1/3, from 0 up" if is_share else "a positive number"
        wrong.append(f"{place}: {column} is {value!r}; write {expected}")
        return 0.0
    if isinstance(value, bool) or not math.isfinite(number):
        wrong.append(f"{place}: {column} is {value!r}, which is no measurement; {instead}")
    elif not is_share and number <= 0:
        wrong.append(f"{place}: {column} is {value!r}; a loss is positive. Of an accuracy, write 1 - accuracy")
    return number
