"""`sapwood prepare`: from raw files to token shards."""

from __future__ import annotations

import shlex
from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated

import typer

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.cli.model import print_delimiters
from sapwood.cli.output import Output
from sapwood.cli.plan import print_remarks
from sapwood.cli.topics import print_classifier
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.report.table import Table, count

if TYPE_CHECKING:
    from sapwood.pipeline.prepare import Checked, Prepared

UnscoredOption = Annotated[
    bool, typer.Option("--unscored", help="Stop before a model scores documents: `sapwood score` does it on many GPUs.")
]

AcceptLossesOption = Annotated[
    bool,
    typer.Option("--accept-losses", help="Go on where a step drops most of a source, as if `max_dropped` allowed it."),
]


def prepare(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    runs: RunsOption = RUNS,
    unscored: UnscoredOption = False,
    accept_losses: AcceptLossesOption = False,
) -> None:
    """Read, clean, compare, label, score, hold out and tokenise documents. What is done already is not done again."""
    from sapwood.pipeline.prepare import prepare as prepare_sources  # it imports what looks into models

    run = open_run(recipe, overrides, runs)

    def show(phase: Checked) -> None:
        print_delimiters(phase.run.recipe, phase.model, phase.run.file)

    prepared = prepare_sources(run, unscored=unscored, accept_losses=accept_losses, reporter=show)
    print_prepared(prepared)
    if prepared.plan is not None:
        print_remarks(console, prepared.plan)
    else:
        typed = shlex.join([str(recipe), *(overrides or ()), *(() if runs == RUNS else ("--runs", str(runs)))])
        console.print(f"Next: {_next(run.recipe, prepared, typed)}", soft_wrap=True)


def _next(recipe: Recipe, prepared: Prepared, typed: str) -> str:
    """What comes after a preparation that stopped before scores; `typed` are the arguments that this verb got."""
    if prepared.unlabelled:
        if recipe.corpus.topics.labeller is None:
            return f"name labels or a labeller under `corpus.topics`, then `sapwood prepare {typed} --unscored` again."
        return f"`sapwood topics label {typed}`, then `sapwood prepare {typed}`."
    if recipe.corpus.perplexity is not None:
        return (
            f"`sapwood score {typed}`, on many GPUs `torchrun --nproc-per-node 8 -m sapwood score {typed}`; then "
            f"`sapwood prepare {typed}`."
        )
    return f"`sapwood prepare {typed}`; no scores are asked for."


def print_prepared(prepared: Prepared) -> None:
    """Prints what became of the documents of every source."""
    for reference in prepared.unlabelled:
        console.print(f"No labels for {reference} yet, so no topics: `sapwood topics label` and `train` make them.")
    for report in prepared.classifiers:
        print_classifier(report)
    if prepared.page is None:
        return
    console.print(f"Tokenised with {prepared.tokenizer}")
    table = Table("source", "read", "unreadable", "filtered", "held out", "dropped", "to train on", "tokens")
    for name, account in prepared.accounts.items():
        table.add(name, *map(count, astuple(account)))
    Output(stderr=True).print(table)
    console.print(f"What became of the documents: {prepared.page}")
