"""`sapwood prepare`: from raw files to token shards."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.table import Table

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run, plan_or_refuse
from sapwood.corpus.prepare import prepare_source, source_fingerprint
from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.files import write_json
from sapwood.manifest import Manifest, read_manifest
from sapwood.mixture.ledger import Ledger
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.recipe.check import watched
from sapwood.synthesis.programs import make_items


def prepare(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Read, check, hold out and tokenise the documents of every source. What is done already is not done again."""
    loaded, run = open_run(recipe, overrides, runs)
    plan_or_refuse(loaded, run, recipe, to_train=True)
    prepare_run(loaded, run)
    plan = plan_or_refuse(loaded, run, recipe, to_train=True)
    write_json(run.plan, plan.to_json())


def prepare_run(recipe: Recipe, run: RunDirectory) -> None:
    """Prepares all sources of a run, documents first and tokens then, and prints what became of them."""
    from sapwood.tokens.encode import Encoder
    from sapwood.tokens.shard import encode_source, held_out_hashes

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SapwoodError(
            "Sources are prepared by one process: run `sapwood prepare` first, then torchrun for training."
        )
    for name, source in recipe.sources.items():
        if not source.files and not source.programs:
            raise SapwoodError(f"The source '{name}' names no files, only the size to plan with. Give it `files:`.")
    run.adopt(recipe)
    model = resolve(recipe.model, default_cache())
    never = watched(recipe)
    begun = bool(Ledger(run.ledger).rounds)
    manifests: dict[str, Manifest] = {}
    for name, source in recipe.sources.items():
        where, is_watched = run.corpus(name), name in never
        if source.programs:
            items = make_items(name, source.programs, recipe.seed, run.synthesis(name))
            source = source.model_copy(update={"files": [str(items)], "programs": {}})
        if begun:
            _refuse_change(
                name, source_fingerprint(name, source, recipe.holdout, watched=is_watched, directory=where), run
            )
        manifests[name] = prepare_source(name, source, recipe.holdout, watched=is_watched, directory=where)
    encoder = Encoder.load(model)
    held_out = held_out_hashes([run.corpus(name) for name in recipe.sources])
    tokens = {name: encode_source(run.corpus(name), run.tokens(name), encoder, held_out) for name in recipe.sources}
    console.print(f"Tokenised with {encoder.backend}." + (f" {encoder.reason}" if encoder.reason else ""))
    _print_account(manifests, tokens)


def _refuse_change(name: str, now: tuple[dict[str, Any], dict[str, Any]], run: RunDirectory) -> None:
    """Raises SapwoodError when a source is not what a begun run was prepared from, before anything is overwritten."""
    done = read_manifest(run.corpus(name))
    if done is None or (done.inputs, done.settings) != now:
        raise SapwoodError(
            f"The source '{name}' is not what the run in {run.root} was begun with: its files, or the way they are "
            "read, changed. Put them back, or give the run another name."
        )


def _print_account(documents: dict[str, Manifest], tokens: dict[str, Manifest]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("source")
    for title in ("read", "set aside", "held out", "dropped", "to train on", "tokens"):
        table.add_column(title, justify="right")
    for name, manifest in documents.items():
        encoded = tokens[name].counts
        row = (
            manifest.counts["documents_read"],
            manifest.counts["quarantined"],
            encoded["holdout_documents"],
            encoded["dropped_documents"],
            encoded["train_documents"],
            encoded["train_tokens"],
        )
        table.add_row(name, *(f"{number:,}" for number in row))
    Console(stderr=True, highlight=False).print(table)
