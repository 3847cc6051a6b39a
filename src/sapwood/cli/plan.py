"""`sapwood plan`: what a recipe means in numbers."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from sapwood.backbone.resolve import at_hand, default_cache
from sapwood.cli import cost
from sapwood.cli.chart import print_learning_rate
from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.cli.model import print_delimiters, print_traits
from sapwood.cli.output import Output, print_note
from sapwood.mixture.open import read_sizes
from sapwood.mixture.plan import DomainPlan, Plan, make_plan
from sapwood.pipeline.checks import listed, refuse
from sapwood.recipe import Recipe
from sapwood.recipe.units import show_tokens
from sapwood.report.table import UNKNOWN, Cell, Table, count, exact_share, number, tokens


def plan(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    runs: RunsOption = RUNS,
    gpu: cost.GpuOption = None,
    memory: cost.MemoryOption = None,
    gpus: cost.GpusOption = None,
    gpus_per_node: cost.PerNodeOption = 8,
    mfu: cost.UtilisationOption = 0.4,
) -> None:
    """Show what a recipe will train on, and what memory and time it will take; refuse what cannot work.

    Costs nothing and changes nothing. What is missing on this machine is listed, all at once, after the plan.
    """
    from sapwood.pipeline.cost import Hardware, estimate_cost
    from sapwood.pipeline.preflight import plan_problems, preflight  # it imports what looks into models

    opened = open_run(recipe, overrides, runs)
    loaded, run, file = opened.recipe, opened.directory, opened.file
    hardware = Hardware(gpu, memory, gpus, gpus_per_node, mfu)
    planned = make_plan(loaded, read_sizes(loaded, run))
    found = list(preflight(loaded, run, "plan", elsewhere=hardware.is_named))
    problems = [*plan_problems(planned), *(problem for problem in found if not problem.waits)]
    if planned.refusals:
        refuse(problems, file)
    print_plan(loaded, planned)
    fits = True
    of_model = [problem for problem in found if _is_of_model(problem.place)]
    if all(problem.waits for problem in of_model):
        directory = at_hand(loaded.model, default_cache())
        if directory is not None and not of_model:
            print_delimiters(loaded, directory, file)
            print_traits(loaded, directory)
        if directory is None:
            cost.print_absent_model(loaded)
        else:
            estimate = estimate_cost(directory, loaded, planned, hardware)
            cost.print_cost(estimate, mfu)
            fits = estimate.fits or (gpu is None and memory is None)
    print_problems("Worth a look:", listed((problem for problem in found if problem.noted), file))
    print_problems(
        "Not here yet, and needed by `sapwood run`:", listed((problem for problem in found if problem.waits), file)
    )
    refuse(problems, file)
    if not fits:
        raise typer.Exit(1)


def _is_of_model(place: tuple[str, ...]) -> bool:
    """Whether something at this place of a recipe keeps the model from being looked at as it would be trained."""
    first, last = place[0], place[-1]
    return first in ("model", "tokenizer") or (first in ("training", "stages") and last in ("adapter", "trainable"))


def print_problems(title: str, lines: list[str]) -> None:
    """Prints what stops no plan."""
    if lines:
        console = Output()
        console.print(f"\n{title}", soft_wrap=True)
        for line in lines:
            console.print(f"  {line}", soft_wrap=True)


def print_plan(recipe: Recipe, plan: Plan) -> None:
    """Prints the plan as tables."""
    console = Output()
    lengths = " or ".join(f"{length:,}" for length in dict.fromkeys(stage.sequence_length for stage in plan.stages))
    console.print(Text.assemble((recipe.name, "bold"), f": {recipe.model}"), soft_wrap=True)
    console.print(
        f"{show_tokens(sum(stage.tokens for stage in plan.stages))} tokens in {plan.sequences:,} sequences of "
        f"{lengths}; about {plan.steps:,} steps\n",
        soft_wrap=True,
    )
    names = [stage.name for stage in plan.stages]
    total = Fraction(sum(stage.tokens for stage in plan.stages))

    def amounts(parts: tuple[Fraction, ...]) -> tuple[Cell, ...]:
        whole = sum(parts, Fraction(0))
        return *map(tokens, parts), tokens(whole), exact_share(whole / total)

    table = Table("source", *names, "total", "share", "available", "epochs")
    for group in recipe.groups:
        members = [part for part in plan.domains if part.domain.group == group]
        table.add(group, *amounts(_add(members)), None, None, tone="strong")
        for source, parts in _by_source(members).items():
            divided = len(parts) > 1
            rest = (None, None) if divided else (_available(parts[0]), _epochs(parts[0]))
            table.add(source, *amounts(_add(parts)), *rest, depth=1)
            for part in parts if divided else ():
                topic = part.domain.name.removeprefix(f"{source}/")
                table.add(topic, *amounts(part.shares), _available(part), _epochs(part), tone="dim", depth=2)
    table.add("all", *amounts(tuple(Fraction(stage.tokens) for stage in plan.stages)), None, None, tone="strong")
    console.print(table)

    if any(domain.kind for domain in plan.domains):
        kinds: dict[str, list[DomainPlan]] = defaultdict(list)
        for domain in plan.domains:
            kinds[domain.kind or "other"].append(domain)
        table = Table("kind", *names, "total", "share")
        for kind, members in kinds.items():
            table.add(kind, *amounts(_add(members)))
        console.print()
        console.print(table)
    for stage in plan.stages:
        if stage.round_sequences is not None:
            rounds = -(-stage.sequences // stage.round_sequences)
            length = show_tokens(stage.round_sequences * stage.sequence_length)
            console.print(f"\nStage '{stage.name}': {rounds:,} rounds of {length} tokens", soft_wrap=True)
    if (during := recipe.evaluation.during) is not None:
        times = (plan.tokens - 1) // during.every.tokens(recipe.full_batch())
        asked = ", ".join(Path(suite).stem for suite in during.suites)
        console.print(f"\nSuites during training: {asked}, about {times:,} times, every {during.every}", soft_wrap=True)
    print_learning_rate(console, recipe, plan)
    print_remarks(console, plan)


def print_remarks(console: Console, plan: Plan) -> None:
    """Prints what works, but should be known."""
    for remark in plan.remarks:
        console.print()
        print_note(console, remark)


def _add(domains: list[DomainPlan]) -> tuple[Fraction, ...]:
    return tuple(sum(parts, Fraction(0)) for parts in zip(*(part.shares for part in domains), strict=True))


def _by_source(parts: list[DomainPlan]) -> dict[str, list[DomainPlan]]:
    found: dict[str, list[DomainPlan]] = {}
    for part in parts:
        found.setdefault(part.domain.source, []).append(part)
    return found


def _available(part: DomainPlan) -> Cell:
    available = part.domain.tokens
    if available is None:
        return UNKNOWN
    return count(available) if part.domain.measured else Cell(f"~{show_tokens(available)}", available, is_number=True)


def _epochs(part: DomainPlan) -> Cell:
    return UNKNOWN if part.epochs is None else number(part.epochs, 2)
