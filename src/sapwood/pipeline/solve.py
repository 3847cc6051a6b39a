"""From the losses of many small runs to the mixture that should be best."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from sapwood.errors import SapwoodError, argument, closest
from sapwood.progress import track
from sapwood.recipe.units import parse_share, parse_tokens

if TYPE_CHECKING:
    from sapwood.mixture.solution import Goal, Solution
    from sapwood.mixture.swarm import Swarm

Value = TypeVar("Value")
Quantity = str | float
"""A number, or one as people write it: `20M` tokens, a share of `20%`."""


@dataclass(frozen=True, slots=True)
class SolvedMixture:
    """The best mixture by the laws, and what it was solved under."""

    table: str
    solution: Solution
    prior: str
    """Where the prior is from, in words."""
    sizes: Mapping[str, int]
    """Tokens of each domain, where they were given."""
    budget: int | None
    """Tokens that the run will train on, where they were given."""
    seed: int

    @property
    def shares(self) -> dict[str, float]:
        """The solution: the share of every domain; they sum to 1."""
        return dict(zip(self.solution.swarm.domains, self.solution.chosen.mixture.tolist(), strict=True))

    def to_json(self) -> dict[str, Any]:
        """The laws and the result as JSON (`Solution.to_json`)."""
        return {"table": self.table, **self.solution.to_json(self.seed)}


def solve(
    table: str | Path,
    *,
    weight: Mapping[str, Quantity] | None = None,
    tokens: Mapping[str, Quantity] | None = None,
    budget: Quantity | None = None,
    max_epochs: float = 4,
    prior: Mapping[str, Quantity] | None = None,
    pull: float = 0.05,  # OlmixBase uses 0.05 to 0.1 (2602.12237)
    seed: int = 0,
) -> SolvedMixture:
    """Fits a law to every loss in a table of small runs, then finds the best mixture under caps.

    `table` is CSV or JSONL, one row a run, with columns `share.DOMAIN` and `loss.METRIC`; others are left alone.
    `weight` says how much each metric counts, 1 if not given. `tokens` is how much text a domain has; with a `budget`
    of tokens no domain is gone through more than `max_epochs` times. The mixture stays near the `prior` (if not given:
    in proportion to `tokens`, else the mean of the table): it must save `pull` of loss for each nat it is away.

    Raises SapwoodError with the place of what is wrong in the table, for names that are not in it, and where cvxpy is
    not installed.
    """
    from sapwood.mixture.solve import solve as solve_mixture
    from sapwood.mixture.solve import work
    from sapwood.mixture.swarm import make_swarm

    path = Path(table)
    swarm = make_swarm(read_table(path), str(path))
    sizes = _named("tokens", tokens, swarm.domains, parse_tokens)
    goal, origin = _goal(swarm, weight, sizes, budget, max_epochs, prior, pull)
    with track("Fitting", work(swarm)) as advance:
        solution = solve_mixture(swarm, goal, seed=seed, advance=advance)
    return SolvedMixture(str(path), solution, origin, sizes, None if budget is None else parse_tokens(budget), seed)


def read_table(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a CSV or JSONL file, each with its place. Objects in JSON are read as `share.DOMAIN`.

    Raises SapwoodError where the file cannot be read as what its name says.
    """
    if path.suffix not in (".csv", ".jsonl"):
        raise SapwoodError(f"{path}: write a table as .csv or .jsonl")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SapwoodError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SapwoodError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return _csv_rows(path, text) if path.suffix == ".csv" else _jsonl_rows(path, text)


def _csv_rows(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        first, *records = [(reader.line_num, row) for row in reader] or [(1, [])]
    except csv.Error as error:  # of a quote that is never closed, too
        raise SapwoodError(f"{path}:{reader.line_num}: not a row of CSV: {error}") from None
    header = [name.strip() for name in first[1]]
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise SapwoodError(f"{path}:1: the column '{twice[0]}' is there twice; leave one of them out")
    rows = []
    for line, row in records:
        place = f"{path}:{line}"
        if not row:
            continue
        if len(row) != len(header):
            raise SapwoodError(f"{place}: found {len(row)} fields, and the header has {len(header)}")
        rows.append((place, dict(zip(header, row, strict=True))))
    return rows


def _jsonl_rows(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SapwoodError(f"{path}:{number}: not a line of JSON: {error}") from None
        if not isinstance(record, dict):
            raise SapwoodError(f"{path}:{number}: found {line.strip()[:40]}; write an object, one a line")
        flat: dict[str, Any] = {}
        for key, value in record.items():
            nested = isinstance(value, dict)
            flat.update({f"{key}.{inner}": item for inner, item in value.items()} if nested else {key: value})
        rows.append((f"{path}:{number}", flat))
    return rows


def _goal(
    swarm: Swarm,
    weight: Mapping[str, Quantity] | None,
    sizes: Mapping[str, int],
    budget: Quantity | None,
    max_epochs: float,
    prior: Mapping[str, Quantity] | None,
    pull: float,
) -> tuple[Goal, str]:
    """The goal, and where its prior is from. Messages name the options as the command line does."""
    import numpy as np

    from sapwood.mixture.solution import Goal
    from sapwood.mixture.solve import repetition_caps

    if not 0 <= pull < float("inf"):
        raise SapwoodError(f"{argument('pull', pull)}: write a number from 0 up, such as 0.05")
    if not 0 < max_epochs < float("inf"):
        raise SapwoodError(f"{argument('max_epochs', max_epochs)}: write a number above 0, such as 4")
    weights = dict.fromkeys(swarm.metrics, 1.0)
    weights |= _named("weight", weight, swarm.metrics, lambda text: float(parse_share(text)))
    if not any(weights.values()):
        raise SapwoodError(
            f"{argument('weight')}: every metric has 0, and so nothing counts. Give at least one a positive weight."
        )
    counted = np.array(list(weights.values()))
    caps = np.ones(len(swarm.domains))
    if budget is not None:
        total = _parse(argument("budget", budget), budget, parse_tokens)
        if not sizes or total <= 0:
            raise SapwoodError(
                f"{argument('budget', budget)} limits nothing without {argument('tokens')}: write "
                f"{argument('tokens', {swarm.domains[0]: '20M'})} or the like"
                if total > 0
                else f"{argument('budget', budget)}: write a number of tokens above 0"
            )
        caps = repetition_caps(sizes, total, swarm.domains, max_epochs)
    given = _named("prior", prior, swarm.domains, parse_share)
    if given:
        missing = {name: "SHARE" for name in swarm.domains if name not in given}
        if missing or not any(given.values()):
            raise SapwoodError(
                f"{argument('prior')} names {len(given)} of {len(swarm.domains)} domains. Give the others too: "
                f"{argument('prior', missing)}"
                if missing
                else f"{argument('prior')} gives every domain 0. Write a positive share for at least one."
            )
        shares, origin = [float(given[name]) for name in swarm.domains], "as given"
    elif len(sizes) == len(swarm.domains) and any(sizes.values()):
        shares, origin = [float(sizes[name]) for name in swarm.domains], "in proportion to the tokens"
    else:
        shares, origin = swarm.mixtures.mean(axis=0).tolist(), "the mean of the table's mixtures"
    return Goal(counted / counted.sum(), np.array(shares) / sum(shares), pull, caps), origin


def _named(
    named: str, given: Mapping[str, Quantity] | None, names: tuple[str, ...], parse: Callable[[object], Value]
) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in (given or {}).items():
        if name not in names:
            raise SapwoodError(f"{argument(named, {name: value})}: the table has no '{name}'. {closest(name, names)}")
        found[name] = _parse(argument(named, {name: value}), value, parse)
    return found


def _parse(written: str, value: Quantity, parse: Callable[[object], Value]) -> Value:
    try:
        return parse(value)
    except ValueError as error:
        raise SapwoodError(f"{written}: {error}") from None
