"""Topics: a sample of documents labelled by a language model, a classifier trained on the labels, a topic for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.corpus.store import TOPICS, TRIM, store_of
from sapwood.errors import SapwoodError
from sapwood.pipeline.handle import Run, open_run, writing
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.lock import refuse_held

if TYPE_CHECKING:
    from sapwood.corpus.topics.label import Label, Labelled, Taxonomy

ClassifierReport = Mapping[str, Any]
"""What a classifier is worth, as `report.json` beside it says: held-out accuracy with its interval, and by topic."""


@dataclass(frozen=True, slots=True)
class Classifiers:
    """The classifiers of a recipe's taxonomies."""

    directories: Mapping[str, Path]
    """By taxonomy."""
    trained: tuple[ClassifierReport, ...]
    """Of those that were trained now, since there was none, or the labels changed."""
    unlabelled: tuple[str, ...]
    """Taxonomies without labels, whose documents get no topic."""


def label_topics(recipe: Run | Recipe | str | Path) -> dict[str, Labelled]:
    """Has a language model name the topic of a sample of documents, by taxonomy. Cached answers are reused.

    Raises SapwoodError where sources are not prepared, where the recipe names no labeller, or once the run has begun.
    """
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.corpus.prepare import verdicts
    from sapwood.corpus.topics.label import label_documents, load_taxonomy, sample
    from sapwood.pipeline.checks import refuse
    from sapwood.pipeline.job import check_labelling

    run = _not_begun(recipe)
    named = taxonomies(run.recipe)
    refuse(list(check_labelling(run.recipe, run.directory)), run.file)
    labeller = run.recipe.corpus.topics.labeller
    assert labeller is not None  # or it was refused
    found = {}
    for reference, sources in named.items():
        stores = {name: store_of(run.directory, name) for name in sources}
        after = {name: verdicts(run.recipe, name, before=TRIM) for name in sources}
        documents = sample(stores, after, labeller.sample)
        with writing(run.directory.root), full_disk_explained(run.directory.root):
            place = run.directory.topics(reference)
            found[reference] = label_documents(documents, load_taxonomy(reference), labeller, place)
    return found


def train_topics(recipe: Run | Recipe | str | Path) -> list[ClassifierReport]:
    """Trains a classifier for every taxonomy on its labels.

    Raises SapwoodError where there are no labels, or once the run has begun.
    """
    from sapwood.corpus.topics.label import gather_labels, load_taxonomy

    run = _not_begun(recipe)
    reports = []
    for reference in taxonomies(run.recipe):
        taxonomy = load_taxonomy(reference)
        labels = gather_labels(run.recipe, reference, taxonomy, run.directory.topics(reference))
        if not labels:
            raise SapwoodError(
                f"There are no labels for {reference}. `sapwood topics label` makes them, or name a file in the "
                f"recipe: `corpus: {{topics: {{labels: {{{reference}: FILE}}}}}}`"
            )
        with writing(run.directory.root):
            reports.append(train_taxonomy(run.recipe, run.directory, reference, taxonomy, labels))
    return reports


def apply_topics(recipe: Run | Recipe | str | Path) -> dict[str, dict[str, Counter[str]]]:
    """Gives every document its topic by the trained classifiers: documents by taxonomy, source and topic."""
    from sapwood.corpus.annotate import annotate
    from sapwood.corpus.prepare import verdicts
    from sapwood.corpus.topics.apply import topics_step
    from sapwood.corpus.topics.train import CLASSIFIER

    run = _not_begun(recipe)
    found: dict[str, dict[str, Counter[str]]] = {}
    for reference, sources in taxonomies(run.recipe).items():
        found[reference] = {}
        for name in sources:
            store = store_of(run.directory, name)
            classifier = run.directory.topics(reference) / CLASSIFIER
            confidence = run.recipe.corpus.topics.confidence
            step = topics_step(classifier, confidence, verdicts(run.recipe, name, before=TRIM))
            with writing(run.directory.root):
                annotate(store, step, run.recipe.engine)
            counts = found[reference][name] = Counter()
            for batch in store.read_all({TOPICS: ["topic"]}):
                counts.update(topic for topic in batch[f"{TOPICS}.topic"].to_pylist() if topic is not None)
    return found


def taxonomies(recipe: Recipe) -> dict[str, list[str]]:
    """The sources of every taxonomy. Raises SapwoodError where no source has one."""
    found: dict[str, list[str]] = {}
    for name, source in recipe.sources.items():
        if source.topics is not None:
            found.setdefault(source.topics, []).append(name)
    if not found:
        raise SapwoodError("No source has a taxonomy. Write `topics: syne-en` or the like under a source.")
    return found


def trained_classifiers(recipe: Recipe, run: RunDirectory) -> Classifiers:
    """The classifiers of the recipe's taxonomies, trained anew where there is none or the labels changed."""
    from sapwood.corpus.topics.label import gather_labels, load_taxonomy
    from sapwood.corpus.topics.train import CLASSIFIER, DESCRIPTION, describe, training_fingerprint

    found: dict[str, Path] = {}
    trained, unlabelled = [], []
    for reference in dict.fromkeys(source.topics for source in recipe.sources.values() if source.topics is not None):
        taxonomy = load_taxonomy(reference)
        labels = gather_labels(recipe, reference, taxonomy, run.topics(reference))
        directory = run.topics(reference) / CLASSIFIER
        if not labels:
            unlabelled.append(reference)
            continue
        known = describe(directory)["trained_on"] if (directory / DESCRIPTION).exists() else None
        if known != training_fingerprint(labels, taxonomy, _encoder(recipe)):
            trained.append(train_taxonomy(recipe, run, reference, taxonomy, labels))
        found[reference] = directory
    return Classifiers(found, tuple(trained), tuple(unlabelled))


def train_taxonomy(
    recipe: Recipe, run: RunDirectory, reference: str, taxonomy: Taxonomy, labels: list[Label]
) -> ClassifierReport:
    """Trains the classifier of a taxonomy where `apply_topics` looks for it."""
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.corpus.topics.train import CLASSIFIER, train_classifier

    encoder = _encoder(recipe)
    with full_disk_explained(run.root):
        return train_classifier(
            labels,
            taxonomy,
            run.topics(reference) / CLASSIFIER,
            confidence=recipe.corpus.topics.confidence,
            encoder=encoder,
        )


def _not_begun(recipe: Run | Recipe | str | Path) -> Run:
    """The run. Raises SapwoodError where another command writes there, which may be about to begin it, and where it has
    begun: topics decide what it is trained on."""
    run = open_run(recipe)
    refuse_held(run.directory.root)
    if run.ledger.rounds:
        raise SapwoodError(
            f"The run in {run.directory.root} has begun to train: its documents keep the topics that they were "
            "prepared with. For other topics, give the run another name."
        )
    return run


def _encoder(recipe: Recipe) -> Path | None:
    named = recipe.corpus.topics.encoder
    return None if named is None else resolve(named, default_cache())
