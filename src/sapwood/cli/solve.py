"""`sapwood solve`: from the losses of many small runs to the mixture that should be best."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from sapwood.cli.output import Output, print_note
from sapwood.errors import SapwoodError
from sapwood.files import write_json
from sapwood.recipe.units import show_tokens
from sapwood.report.table import NOTHING, Cell, Table, Tone, change, number, number_interval, share, share_interval
from sapwood.report.wording import percent

if TYPE_CHECKING:
    from sapwood.pipeline.solve import SolvedMixture


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
    max_epochs: Annotated[float, typer.Option(help="Epochs allowed over the text of a domain.")] = 4,
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
    from sapwood.pipeline.solve import solve as solve_table

    solved = solve_table(
        table,
        weight=_named("--weight", "METRIC=NUMBER", weight),
        tokens=_named("--tokens", "DOMAIN=TOKENS", tokens),
        budget=budget,
        max_epochs=max_epochs,
        prior=_named("--prior", "DOMAIN=SHARE", prior),
        pull=pull,
        seed=seed,
    )
    _print_solution(solved)
    if output is not None:
        write_json(output, solved.to_json())
        Output().print(f"\nWritten to {output}", soft_wrap=True)


def _named(flag: str, form: str, given: Iterable[str] | None) -> dict[str, str]:
    """What was given by name: each once."""
    found: dict[str, str] = {}
    for item in given or ():
        name, equals, text = item.rpartition("=")
        if not equals:
            raise SapwoodError(f"{flag} {item}: write {flag} {form}")
        if name in found:
            raise SapwoodError(f"{flag} {item}: '{name}' is given twice; leave one of them out")
        found[name] = text
    return found


def _print_solution(solved: SolvedMixture) -> None:
    solution, budget, sizes = solved.solution, solved.budget, solved.sizes
    swarm, goal = solution.swarm, solution.goal
    console = Output()
    console.print(
        f"{len(swarm.mixtures)} rows, {swarm.different} different mixtures of {len(swarm.domains)} domains, "
        f"{len(swarm.metrics)} metrics" + (f"; not read: {', '.join(swarm.unused)}" if swarm.unused else ""),
        soft_wrap=True,
    )
    console.print()
    console.print(Text.assemble(("What the laws are worth", "bold"), ", on rows they were not fitted to"))
    table = Table("metric", "weight", "error", "of the mean", "R²", "rank correlation")
    for name, weight, held_out in zip(swarm.metrics, goal.weights, solution.held_out, strict=True):
        errors = number(held_out.error, 4), number(held_out.baseline_error, 4)
        table.add(name, share(weight, 0), *errors, number(held_out.r_squared, 2), number(held_out.rank_correlation, 2))
    console.print(table)

    console.print("\nThe mixture", style="bold")
    titles = ["prior", "best row", "solution", "95% interval", "observed"]
    table = Table("domain", *titles, *(["at most", "epochs"] if budget else []))
    low, high = solution.share_interval
    for i, name in enumerate(swarm.domains):
        part, seen = float(solution.chosen.mixture[i]), swarm.mixtures[:, i]
        limits = []
        if budget:
            known = name in sizes and sizes[name] > 0
            cap = float(goal.caps[i])
            met = Cell(f"{percent(cap)} met", cap, is_number=True) if solution.binding[i] else share(cap)
            limits.append(met if cap < 1 else NOTHING)
            limits.append(number(part * budget / sizes[name] if known else None, 2))
        shares = share(float(goal.prior[i])), share(float(solution.best.mixture[i])), share(part)
        bounds = share_interval((float(low[i]), float(high[i]))), share_interval((float(seen.min()), float(seen.max())))
        table.add(name, *shares, *bounds, *limits)
    console.print(table)
    console.print(
        f"The prior is {solved.prior}; the pull to it {goal.pull:g}. "
        f"The best row is {swarm.places[solution.best_row]}."
        + (f" A budget of {show_tokens(budget)} tokens." if budget else ""),
        soft_wrap=True,
    )

    console.print("\nThe losses that the laws predict", style="bold")
    table = Table("metric", "prior", "best row", "solution", "change from prior", "95% interval")
    lows, highs = solution.chosen.interval(since=solution.prior)
    for i, name in enumerate((*swarm.metrics, "weighted mean")):
        losses = [float(point.losses[i]) for point in (solution.prior, solution.best, solution.chosen)]
        moved = number_interval((float(lows[i]), float(highs[i])), 4, signed=True)
        tone: Tone = "strong" if i == len(swarm.metrics) else ""
        table.add(name, *(number(loss, 4) for loss in losses), change(losses[2] - losses[0], 4), moved, tone=tone)
    console.print(table)
    for warning in solution.warnings:
        console.print()
        print_note(console, warning)
