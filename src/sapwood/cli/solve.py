"""`sapwood solve`: from the losses of many small runs to the mixture that should be best."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer
from rich.table import Table
from rich.text import Text

from sapwood.cli.output import Output, print_note
from sapwood.errors import SapwoodError, closest
from sapwood.files import write_json
from sapwood.progress import track
from sapwood.recipe.units import parse_share, parse_tokens, show_tokens

if TYPE_CHECKING:
    from sapwood.mixture.solution import Goal, Solution
    from sapwood.mixture.swarm import Swarm

Value = TypeVar("Value")


def solve(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="CSV or JSONL, one row a run, with columns share.DOMAIN and loss.METRIC; others are left alone.",
        ),
    ],
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=NUMBER", help="How much a metric counts; 1 if not given. 0 only watches it."),
    ] = None,
    tokens: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=TOKENS", help="How much text a domain has, such as web-zh=20M."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="What the run will train on; with --tokens it limits shares.")
    ] = None,
    max_epochs: Annotated[float, typer.Option(help="Passes allowed over the text of a domain.")] = 4,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN=SHARE",
            help="The mixture to stay near. If not given: in proportion to --tokens, else the mean of the table.",
        ),
    ] = None,
    pull: Annotated[
        float, typer.Option(help="How much loss a mixture must save for each nat it is away from the prior.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Of the bootstrap and the folds.")] = 0,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the laws and the result as JSON.")] = None,
) -> None:
    """Find the best mixture from a table of small runs: fit a law to every loss, then solve under caps."""
    from sapwood.mixture.solve import solve as solve_mixture
    from sapwood.mixture.solve import work
    from sapwood.mixture.swarm import make_swarm

    swarm = make_swarm(read_table(table), str(table))
    sizes = _named("--tokens", "DOMAIN=TOKENS", tokens, swarm.domains, parse_tokens)
    goal, origin = _goal(swarm, weight, sizes, budget, max_epochs, prior, pull)
    with track("Fitting", work(swarm)) as advance:
        solution = solve_mixture(swarm, goal, seed=seed, advance=advance)
    _print_solution(solution, origin, sizes, None if budget is None else parse_tokens(budget))
    if output is not None:
        write_json(output, {"table": str(table), **solution.to_json(seed)})
        Output().print(f"\nWritten to {output}", soft_wrap=True)


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
    weight: list[str] | None,
    sizes: dict[str, int],
    budget: str | None,
    max_epochs: float,
    prior: list[str] | None,
    pull: float,
) -> tuple[Goal, str]:
    """The goal that the flags describe, and where its prior is from."""
    import numpy as np

    from sapwood.mixture.solution import Goal
    from sapwood.mixture.solve import repetition_caps

    if not 0 <= pull < float("inf"):
        raise SapwoodError(f"--pull {pull}: write a number from 0 up, such as 0.05")
    if not 0 < max_epochs < float("inf"):
        raise SapwoodError(f"--max-epochs {max_epochs}: write a number above 0, such as 4")
    weights = dict.fromkeys(swarm.metrics, 1.0)
    weights |= _named("--weight", "METRIC=NUMBER", weight, swarm.metrics, lambda text: float(parse_share(text)))
    if not any(weights.values()):
        raise SapwoodError("--weight: every metric has 0, and so nothing counts. Give at least one a positive weight.")
    counted = np.array(list(weights.values()))
    caps = np.ones(len(swarm.domains))
    if budget is not None:
        total = _parse("--budget", budget, parse_tokens)
        if not sizes or total <= 0:
            raise SapwoodError(
                f"--budget {budget} limits nothing without --tokens: write --tokens {swarm.domains[0]}=20M or the like"
                if total > 0
                else f"--budget {budget}: write a number of tokens above 0"
            )
        caps = repetition_caps(sizes, total, swarm.domains, max_epochs)
    given = _named("--prior", "DOMAIN=SHARE", prior, swarm.domains, parse_share)
    if given:
        missing = " ".join(f"--prior {name}=SHARE" for name in swarm.domains if name not in given)
        if missing or not any(given.values()):
            raise SapwoodError(
                f"--prior names {len(given)} of {len(swarm.domains)} domains. Give the others too: {missing}"
                if missing
                else "--prior gives every domain 0. Write a positive share for at least one."
            )
        shares, origin = [float(given[name]) for name in swarm.domains], "as given"
    elif len(sizes) == len(swarm.domains) and any(sizes.values()):
        shares, origin = [float(sizes[name]) for name in swarm.domains], "in proportion to the tokens"
    else:
        shares, origin = swarm.mixtures.mean(axis=0).tolist(), "the mean of the table's mixtures"
    return Goal(counted / counted.sum(), np.array(shares) / sum(shares), pull, caps), origin


def _named(
    flag: str, form: str, given: Iterable[str] | None, names: tuple[str, ...], parse: Callable[[object], Value]
) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for item in given or ():
        name, equals, text = item.rpartition("=")
        if not equals:
            raise SapwoodError(f"{flag} {item}: write {flag} {form}")
        if name not in names:
            raise SapwoodError(f"{flag} {item}: the table has no '{name}'. {closest(name, names)}")
        if name in found:
            raise SapwoodError(f"{flag} {item}: '{name}' is given twice; leave one of them out")
        found[name] = _parse(f"{flag} {name}=", text, parse)
    return found


def _parse(flag: str, text: str, parse: Callable[[object], Value]) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise SapwoodError(f"{flag}: found '{text}': {error}") from None


def _print_solution(solution: Solution, origin: str, sizes: dict[str, int], budget: int | None) -> None:
    swarm, goal = solution.swarm, solution.goal
    console = Output()
    console.print(
        f"{len(swarm.mixtures)} rows, {swarm.different} different mixtures of {len(swarm.domains)} domains, "
        f"{len(swarm.metrics)} metrics" + (f"; not read: {', '.join(swarm.unused)}" if swarm.unused else ""),
        soft_wrap=True,
    )
    console.print()
    console.print(Text.assemble(("What the laws are worth", "bold"), ", on rows they were not fitted to"))
    table = _table("metric", "weight", "error", "of the mean", "R²", "rank correlation")
    for name, weight, held_out in zip(swarm.metrics, goal.weights, solution.held_out, strict=True):
        table.add_row(
            name,
            f"{weight:.0%}",
            f"{held_out.error:.4f}",
            f"{held_out.baseline_error:.4f}",
            f"{held_out.r_squared:.2f}",
            f"{held_out.rank_correlation:.2f}",
        )
    console.print(table)

    console.print("\nThe mixture", style="bold")
    titles = ["prior", "best row", "solution", "95% interval", "observed"]
    table = _table("domain", *titles, *(["at most", "passes"] if budget else []))
    low, high = solution.share_interval
    for i, name in enumerate(swarm.domains):
        share, seen = solution.chosen.mixture[i], swarm.mixtures[:, i]
        limits = []
        if budget:
            known = name in sizes and sizes[name] > 0
            limits.append(f"{goal.caps[i]:.1%}{' met' if solution.binding[i] else ''}" if goal.caps[i] < 1 else "–")
            limits.append(f"{share * budget / sizes[name]:.2f}" if known else "–")
        table.add_row(
            name,
            f"{goal.prior[i]:.1%}",
            f"{solution.best.mixture[i]:.1%}",
            Text(f"{share:.1%}", style="bold"),
            f"{100 * low[i]:.1f}–{high[i]:.1%}",
            f"{100 * seen.min():.1f}–{seen.max():.1%}",
            *limits,
        )
    console.print(table)
    console.print(
        f"The prior is {origin}; the pull to it {goal.pull:g}. "
        f"The best row is {swarm.places[solution.best_row]}."
        + (f" A budget of {show_tokens(budget)} tokens." if budget else ""),
        soft_wrap=True,
    )

    console.print("\nThe losses that the laws predict", style="bold")
    table = _table("metric", "prior", "best row", "solution", "change from prior", "95% interval")
    lows, highs = solution.chosen.interval(since=solution.prior)
    for i, name in enumerate((*swarm.metrics, "weighted mean")):
        losses = [point.losses[i] for point in (solution.prior, solution.best, solution.chosen)]
        table.add_row(
            name,
            *(f"{loss:.4f}" for loss in losses),
            f"{losses[2] - losses[0]:+.4f}",
            f"{lows[i]:+.4f} to {highs[i]:+.4f}",
            style="bold" if i == len(swarm.metrics) else None,
        )
    console.print(table)
    for warning in solution.warnings:
        console.print()
        print_note(console, warning)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right")
    return table
