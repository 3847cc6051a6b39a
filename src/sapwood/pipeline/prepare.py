"""From raw files to token shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
from sapwood.corpus.store import store_of, stores_of
from sapwood.errors import SapwoodError
from sapwood.files import remove_leftovers, write_json
from sapwood.mixture.adopt import adopt, refuse_other_inputs
from sapwood.mixture.decided import plan_or_refuse
from sapwood.mixture.domains import divide
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.open import source_identity
from sapwood.mixture.plan import Plan
from sapwood.pipeline.handle import Run, open_run, writing
from sapwood.pipeline.topics import ClassifierReport, trained_classifiers
from sapwood.recipe import Recipe
from sapwood.recipe.check import split_by_topic
from sapwood.runs.directory import RunDirectory
from sapwood.runs.lock import hold
from sapwood.runs.manifest import read_manifest
from sapwood.synthesis.source import write_source

if TYPE_CHECKING:
    from sapwood.backbone.encode import Encoder


def open_encoder(recipe: Recipe, model: Path) -> Encoder:
    """The tokenizer in the directory `model`, with texts that begin and end as the recipe says."""
    from sapwood.backbone.encode import Encoder

    return Encoder.load(model, recipe.tokenizer.begin, recipe.tokenizer.end)


def scoring_model(recipe: Recipe, backbone: Path) -> tuple[Path, Encoder]:
    """The directory of the model that scores documents, and its tokenizer: the one that the recipe names for it, whose
    texts begin as its own tokenizer says, or the base model."""
    from sapwood.backbone.encode import Encoder

    perplexity = recipe.corpus.perplexity
    if perplexity is None or perplexity.model is None:
        return backbone, open_encoder(recipe, backbone)
    directory = resolve(perplexity.model, default_cache())
    return directory, Encoder.load(directory)


def refuse_other_tokens(run: RunDirectory, recipe: Recipe, encoder: Encoder) -> None:
    """Raises SapwoodError where the run's token shards were made by another tokenizer, or with other beginnings."""
    for source in recipe.sources:
        made = read_manifest(run.tokens(source))
        if made is not None and made.settings.get("tokenizer") != encoder.fingerprint:
            raise SapwoodError(
                f"The tokens of '{source}' were made by another tokenizer than the model's, or begin and end otherwise "
                "than the recipe says now. Run `sapwood prepare` again."
            )


@dataclass(frozen=True, slots=True)
class PreparedSource:
    """Where the documents of a source are: read is unreadable, filtered, held out, dropped and to train on."""

    read: int
    unreadable: int
    """In quarantine."""
    filtered: int
    held_out: int
    dropped: int
    """Without a token, or near-duplicates of what is held out."""
    documents: int
    """To train on."""
    tokens: int
    """To train on."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of preparing a run's sources."""

    accounts: Mapping[str, PreparedSource]
    """By source; empty where it stopped before documents are scored."""
    tokenizer: str
    """The library that made the tokens, and why it is not the fast one."""
    page: Path | None
    """The report on what was filtered; None where it stopped before."""
    classifiers: tuple[ClassifierReport, ...]
    """Of topic classifiers that were trained now."""
    unlabelled: tuple[str, ...]
    """Taxonomies without labels, whose documents have no topics."""
    plan: Plan | None = None
    """By the tokens that were counted; None where it stopped before."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A run that nothing is known to stop: the first that a reporter is told of."""

    run: Run
    model: Path
    """The directory of the base model."""


def prepare(
    recipe: Run | Recipe | str | Path,
    *,
    unscored: bool = False,
    accept_losses: bool = False,
    reporter: Callable[[Checked], None] = lambda phase: None,
) -> Prepared:
    """Reads, filters, deduplicates, labels, scores, holds out and tokenises documents. What is done is not done again.

    `unscored` stops before a model scores documents. `reporter` is told when nothing is known to stop it.

    Raises SapwoodError, before anything is read, where something will stop it; where a step drops more of a source than
    its `max_dropped`, unless `accept_losses`; and where another command writes into the run.
    """
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.pipeline.preflight import checked_plan

    run = open_run(recipe)
    checked_plan(run.recipe, run.directory, run.file, "prepare")
    reporter(Checked(run, resolve(run.recipe.model, default_cache())))
    with writing(run.directory.root), full_disk_explained(run.directory.root):
        found = prepare_run(run.recipe, run.directory, unscored=unscored, accept_losses=accept_losses)
        if unscored:
            return found
        plan = plan_or_refuse(run.recipe, run.directory, run.file)
        write_json(run.directory.plan, plan.to_json(), sealed=True)
    return Prepared(found.accounts, found.tokenizer, found.page, found.classifiers, found.unlabelled, plan)


def prepare_run(recipe: Recipe, run: RunDirectory, *, unscored: bool = False, accept_losses: bool = False) -> Prepared:
    """Prepares all sources of a run, documents first and tokens then, in a directory that is held already.

    A run that has begun to train keeps what it was begun with: changed files are refused.
    """
    from sapwood.corpus.disk import full_disk_explained

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SapwoodError(
            "Sources are prepared by one process: run `sapwood prepare` first, then torchrun for training."
        )
    with full_disk_explained(run.root):
        return _prepare(recipe, run, unscored=unscored, accept_losses=accept_losses)


def _prepare(recipe: Recipe, run: RunDirectory, *, unscored: bool, accept_losses: bool) -> Prepared:
    from sapwood.corpus.begun import refuse_losses
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
    trained: tuple[ClassifierReport, ...] = ()
    unlabelled: tuple[str, ...] = ()
    if ledger.rounds:
        ledger.check(ledger.identity | {"model": fingerprint_model(model)})
        refuse_change(made, run)
        refuse_other_inputs(run, recipe)
    if not ledger.rounds or not _is_prepared(made, run):
        classifiers = trained_classifiers(recipe, run)
        trained, unlabelled = classifiers.trained, classifiers.unlabelled
        prepare_documents(made, stores, encoder, dict(classifiers.directories))
        if not accept_losses:
            refuse_losses(recipe.sources, stores, {name: verdicts(recipe, name, before=TRIM) for name in stores})
        if unscored:
            return Prepared({}, "", None, trained, unlabelled)
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
    accounts = {name: _account(run, name, manifest.counts) for name, manifest in tokens.items()}
    tokenizer = f"{encoder.backend}. {encoder.reason}".strip()
    return Prepared(accounts, tokenizer, write_data_report(recipe, run.root), trained, unlabelled)


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


def _account(run: RunDirectory, source: str, tokens: Mapping[str, int]) -> PreparedSource:
    store = store_of(run, source)
    read, selected = store.manifest("documents").counts, store.manifest("selection").counts
    return PreparedSource(
        read=read["documents_read"],
        unreadable=read["quarantined"],
        filtered=selected["dropped"],
        held_out=tokens["holdout_documents"],
        dropped=tokens["dropped_documents"],
        documents=tokens["train_documents"],
        tokens=tokens["train_tokens"],
    )


def score(recipe: Run | Recipe | str | Path) -> list[str]:
    """Scores documents by how likely a model finds them; under torchrun every process scores its part.

    Comes between `prepare` with `unscored` and `prepare`. What was scored before is not scored again. Returns the
    names of the sources that have scores. Raises SapwoodError where the recipe asks for none, where sources are not
    prepared so far, and where another command writes into the run.
    """
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.corpus.perplexity import Scorer, score_part
    from sapwood.corpus.prepare import verdicts
    from sapwood.corpus.store import TRIM
    from sapwood.recipe.check import scored

    run = open_run(recipe)
    loaded, directory = run.recipe, run.directory
    perplexity = loaded.corpus.perplexity
    if perplexity is None:
        raise SapwoodError("The recipe scores no documents. Write `perplexity: {}` under `corpus:`.")
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    scorer = Scorer(*scoring_model(loaded, resolve(loaded.model, default_cache())), perplexity.tokens)
    names = list(scored(loaded))
    # Processes share the directory without knowing of each other: each holds it as its own rank.
    with hold(directory.root, rank=rank), full_disk_explained(directory.root):
        for name in names:
            score_part(store_of(directory, name), scorer, verdicts(loaded, name, before=TRIM), rank, ranks)
    return names
