"""`sapwood prepare`: from raw files to token shards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run, plan_or_refuse, writing
from sapwood.cli.output import Output
from sapwood.cli.plan import print_remarks
from sapwood.cli.tokenizer import open_encoder, print_delimiters
from sapwood.cli.topics import trained_classifiers
from sapwood.corpus.store import store_of, stores_of
from sapwood.errors import SapwoodError
from sapwood.files import remove_leftovers, write_json
from sapwood.mixture.adopt import adopt, refuse_other_inputs
from sapwood.mixture.domains import divide
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.open import source_identity
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.recipe.check import split_by_topic
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest
from sapwood.synthesis.source import write_source

if TYPE_CHECKING:
    from sapwood.backbone.encode import Encoder

UnscoredOption = Annotated[
    bool, typer.Option("--unscored", help="Stop before a model scores documents: `sapwood score` does it on many GPUs.")
]

YesOption = Annotated[
    bool, typer.Option("--yes", help="Go on where a step drops most of a source, as if `max_dropped` allowed it.")
]


def prepare(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    runs: RunsOption = RUNS,
    unscored: UnscoredOption = False,
    yes: YesOption = False,
) -> None:
    """Read, clean, compare, label, score, hold out and tokenise documents. What is done already is not done again."""
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.pipeline.preflight import checked_plan  # it imports what looks into models

    loaded, run = open_run(recipe, overrides, runs)
    checked_plan(loaded, run, recipe, "prepare")
    print_delimiters(loaded, resolve(loaded.model, default_cache()), recipe)
    with writing(run.root), full_disk_explained(run.root):
        prepare_run(loaded, run, unscored=unscored, yes=yes)
        if not unscored:
            plan = plan_or_refuse(loaded, run, recipe)
            write_json(run.plan, plan.to_json(), sealed=True)
            print_remarks(console, plan)


def prepare_run(recipe: Recipe, run: RunDirectory, *, unscored: bool = False, yes: bool = False) -> None:
    """Prepares all sources of a run, documents first and tokens then, and prints what became of them.

    Without `yes`, raises SapwoodError where a step drops most of a source.

    A run that has begun to train keeps what it was begun with: changed files are refused.
    """
    from sapwood.corpus.disk import full_disk_explained

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SapwoodError(
            "Sources are prepared by one process: run `sapwood prepare` first, then torchrun for training."
        )
    with full_disk_explained(run.root):
        _prepare(recipe, run, unscored=unscored, yes=yes)


def _prepare(recipe: Recipe, run: RunDirectory, *, unscored: bool, yes: bool) -> None:
    from sapwood.corpus.losses import refuse_losses
    from sapwood.corpus.prepare import prepare_documents, score_documents, select_documents, verdicts
    from sapwood.corpus.store import TRIM
    from sapwood.report.data import write_data_report
    from sapwood.tokens.shard import encode_source, held_out_hashes

    adopt(run, recipe)
    remove_leftovers(run.root)  # of pages and plans that a killed process was writing
    model, stores = resolve(recipe.model, default_cache()), stores_of(run, recipe)
    encoder = open_encoder(recipe, model)
    made = with_items(recipe, run)
    ledger = Ledger(run.ledger)
    if ledger.rounds:
        ledger.check(ledger.identity | {"model": fingerprint_model(model)})
        refuse_change(made, run)
        refuse_other_inputs(run, recipe)
    if not ledger.rounds or not _is_prepared(made, run):
        prepare_documents(made, stores, encoder, trained_classifiers(recipe, run))
        if not yes:
            refuse_losses(recipe.sources, stores, {name: verdicts(recipe, name, before=TRIM) for name in stores})
        if unscored:
            return
        score_documents(made, stores, *scoring_model(recipe, model))
        select_documents(made, stores)
    held_out = held_out_hashes(stores.values())
    tokens = {name: encode_source(store, run.tokens(name), encoder, held_out) for name, store in stores.items()}
    for name in split_by_topic(recipe):
        divide(stores[name], run.tokens(name), run.divided(name))
    for name in stores:
        # Says so now if a stage orders documents by a score that they do not have.
        identity = source_identity(recipe, run, name)
        if identity != ledger.identity.get(f"source '{name}'", identity):
            raise SapwoodError(_changed(name, run))
    console.print(f"Tokenised with {encoder.backend}." + (f" {encoder.reason}" if encoder.reason else ""))
    _print_account(run, tokens)
    console.print(f"What became of the documents: {write_data_report(recipe, run.root)}")


def scoring_model(recipe: Recipe, backbone: Path) -> tuple[Path, Encoder]:
    """The directory of the model that scores documents, and its tokenizer: the one that the recipe names for it, whose
    texts begin as its own tokenizer says, or the backbone."""
    from sapwood.backbone.encode import Encoder

    perplexity = recipe.corpus.perplexity
    if perplexity is None or perplexity.model is None:
        return backbone, open_encoder(recipe, backbone)
    directory = resolve(perplexity.model, default_cache())
    return directory, Encoder.load(directory)


def with_items(recipe: Recipe, run: RunDirectory) -> Recipe:
    """The recipe with files in place of programs and synthesis jobs, whose documents are written now."""
    sources = dict(recipe.sources)
    for name, source in sources.items():
        if source.programs or source.synthesis:
            documents = write_source(name, source, recipe.seed, run.synthesis(name))
            read: dict[str, object] = {"files": [str(documents)], "url": "url", "programs": {}, "synthesis": None}
            sources[name] = source.model_copy(update=read)
    return recipe.model_copy(update={"sources": sources})


def refuse_change(recipe: Recipe, run: RunDirectory) -> None:
    """Raises SapwoodError when a source is not what a begun run was prepared from, before anything is overwritten.

    Documents that were removed since are not there to be overwritten: what is made anew is compared afterwards.
    """
    from sapwood.corpus.ingest import ingested
    from sapwood.corpus.store import DOCUMENTS

    for name, store in stores_of(run, recipe).items():
        if store.has(DOCUMENTS) and not ingested(store, recipe.sources[name], recipe.corpus.normalise):
            raise SapwoodError(_changed(name, run))


def _is_prepared(recipe: Recipe, run: RunDirectory) -> bool:
    """Whether every step of every source is there; damaged ones may have been removed."""
    from sapwood.corpus.prepare import steps_of

    return all(store.has(step) for name, store in stores_of(run, recipe).items() for step in steps_of(recipe, name))


def _changed(name: str, run: RunDirectory) -> str:
    return (
        f"The source '{name}' is not what the run in {run.root} was begun with: its files, or the way they are read, "
        "changed. Put them back, or give the run another name."
    )


def _print_account(run: RunDirectory, tokens: dict[str, Manifest]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("source")
    for title in ("read", "unreadable", "set aside", "held out", "dropped", "to train on", "tokens"):
        table.add_column(title, justify="right")
    for name, manifest in tokens.items():
        store = store_of(run, name)
        read, selected = store.manifest("documents").counts, store.manifest("selection").counts
        row = (
            read["documents_read"],
            read["quarantined"],
            selected["dropped"],
            manifest.counts["holdout_documents"],
            manifest.counts["dropped_documents"],
            manifest.counts["train_documents"],
            manifest.counts["train_tokens"],
        )
        table.add_row(name, *(f"{number:,}" for number in row))
    Output(stderr=True).print(table)
