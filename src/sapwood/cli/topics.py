"""`sapwood topics`: label some documents, train a classifier on the labels, give all documents their topic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run, writing
from sapwood.cli.output import Output, with_json
from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError
from sapwood.mixture.ledger import Ledger
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory

if TYPE_CHECKING:
    from sapwood.corpus.topics.label import Label
    from sapwood.corpus.topics.taxonomy import Taxonomy

topics = typer.Typer(help="Label documents with topics: a sample by a language model, all by a classifier.")


@topics.command()
def label(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Have a language model name the topic of a sample of documents. Asked before, it is not asked again."""
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.corpus.prepare import verdicts
    from sapwood.corpus.store import TRIM
    from sapwood.corpus.topics.label import label_documents, sample
    from sapwood.corpus.topics.taxonomy import load_taxonomy
    from sapwood.pipeline.job import check_labelling
    from sapwood.pipeline.preflight import recipe_file
    from sapwood.pipeline.problem import refuse

    loaded, run = _open(recipe, overrides, runs)
    named = taxonomies(loaded)
    refuse(list(check_labelling(loaded, run)), recipe_file(recipe))
    labeller = loaded.corpus.topics.labeller
    assert labeller is not None  # or it was refused
    for reference, sources in named.items():
        stores = {name: store_of(run, name) for name in sources}
        after = {name: verdicts(loaded, name, before=TRIM) for name in sources}
        documents = sample(stores, after, labeller.sample)
        with writing(run.root), full_disk_explained(run.root):
            found = label_documents(documents, load_taxonomy(reference), labeller, run.topics(reference))
        console.print(
            f"{reference}: {found.labels:,} labels, {found.unclear:,} answers without a topic, {found.failed:,} "
            f"documents without an answer; {found.tokens:,} tokens. They are in {run.topics(reference)}"
        )


@topics.command()
@with_json
def train(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Train a classifier for every taxonomy on its labels, and say what it is worth."""
    from sapwood.corpus.topics.label import gather_labels
    from sapwood.corpus.topics.taxonomy import load_taxonomy

    loaded, run = _open(recipe, overrides, runs)
    for reference in taxonomies(loaded):
        taxonomy = load_taxonomy(reference)
        labels = gather_labels(loaded, reference, taxonomy, run.topics(reference))
        if not labels:
            raise SapwoodError(
                f"There are no labels for {reference}. `sapwood topics label` makes them, or name a file in the "
                f"recipe: `corpus: {{topics: {{labels: {{{reference}: FILE}}}}}}`"
            )
        with writing(run.root):
            print_worth(train_taxonomy(loaded, run, reference, taxonomy, labels))


@topics.command()
@with_json
def apply(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Give every document its topic with the classifiers that are trained."""
    from sapwood.corpus.annotate import annotate
    from sapwood.corpus.prepare import verdicts
    from sapwood.corpus.store import TRIM
    from sapwood.corpus.topics.apply import topics_step
    from sapwood.corpus.topics.train import CLASSIFIER

    loaded, run = _open(recipe, overrides, runs)
    for reference, sources in taxonomies(loaded).items():
        for name in sources:
            classifier = run.topics(reference) / CLASSIFIER
            step = topics_step(classifier, loaded.corpus.topics.confidence, verdicts(loaded, name, before=TRIM))
            with writing(run.root):
                annotate(store_of(run, name), step, loaded.engine)
    print_topics(loaded, run)


def _open(path: Path, overrides: list[str] | None, runs: Path) -> tuple[Recipe, RunDirectory]:
    """The recipe and its run. Raises SapwoodError where that has begun: topics decide what it is trained on."""
    loaded, run = open_run(path, overrides, runs)
    if Ledger(run.ledger).rounds:
        raise SapwoodError(
            f"The run in {run.root} has begun to train: its documents keep the topics that they were prepared with. "
            "For other topics, give the run another name."
        )
    return loaded, run


def taxonomies(recipe: Recipe) -> dict[str, list[str]]:
    """The sources of every taxonomy. Raises SapwoodError where no source has one."""
    found: dict[str, list[str]] = {}
    for name, source in recipe.sources.items():
        if source.topics is not None:
            found.setdefault(source.topics, []).append(name)
    if not found:
        raise SapwoodError("No source has a taxonomy. Write `topics: syne-en` or the like under a source.")
    return found


def trained_classifiers(recipe: Recipe, run: RunDirectory) -> dict[str, Path]:
    """The classifiers of the recipe's taxonomies, by taxonomy, trained anew where the labels changed.

    A taxonomy without labels is left out, with a word on the console.
    """
    from sapwood.corpus.topics.label import gather_labels
    from sapwood.corpus.topics.taxonomy import load_taxonomy
    from sapwood.corpus.topics.train import CLASSIFIER, DESCRIPTION, describe, training_fingerprint

    found: dict[str, Path] = {}
    for reference in dict.fromkeys(source.topics for source in recipe.sources.values() if source.topics is not None):
        taxonomy = load_taxonomy(reference)
        labels = gather_labels(recipe, reference, taxonomy, run.topics(reference))
        directory = run.topics(reference) / CLASSIFIER
        if not labels:
            console.print(f"No labels for {reference} yet, so no topics: `sapwood topics label` and `train` make them.")
            continue
        known = describe(directory)["trained_on"] if (directory / DESCRIPTION).exists() else None
        if known != training_fingerprint(labels, taxonomy, _encoder(recipe)):
            print_worth(train_taxonomy(recipe, run, reference, taxonomy, labels))
        found[reference] = directory
    return found


def train_taxonomy(
    recipe: Recipe, run: RunDirectory, reference: str, taxonomy: Taxonomy, labels: list[Label]
) -> dict[str, Any]:
    """Trains the classifier of a taxonomy where `sapwood topics apply` looks for it, and returns its report."""
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


def print_worth(report: dict[str, Any]) -> None:
    """Prints how well a classifier does on labels that it has not seen."""
    low, high = report["accuracy_interval"]
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.title = (
        f"{report['taxonomy']}: {report['accuracy']:.1%} right of {report['held_out']} held-out labels "
        f"({low:.1%} to {high:.1%}), {report['unsure']:.1%} below {report['confidence']:g}, "
        f"{1000 * report['seconds_per_document']:.2f} ms a document"
    )
    for title in ("topic", "precision", "recall", "F1", "labels"):
        table.add_column(title, justify="left" if title == "topic" else "right")
    for line in report["topics"]:
        shares = (f"{line[name]:.2f}" if line["support"] else "–" for name in ("precision", "recall", "f1"))
        table.add_row(line["topic"], *shares, str(line["support"]))
    Output(stderr=True).print(table)


def print_topics(recipe: Recipe, run: RunDirectory) -> None:
    """Prints how many documents of every source have each topic."""
    from collections import Counter

    from sapwood.corpus.store import TOPICS

    for reference, sources in taxonomies(recipe).items():
        counts = {name: Counter[str]() for name in sources}
        for name in sources:
            for batch in store_of(run, name).read_all({TOPICS: ["topic"]}):
                counts[name].update(topic for topic in batch[f"{TOPICS}.topic"].to_pylist() if topic is not None)
        table = Table(box=None, pad_edge=False, header_style="bold", title=reference, title_justify="left")
        table.add_column("topic")
        for name in sources:
            table.add_column(name, justify="right")
        for topic in sorted({topic for found in counts.values() for topic in found}):
            table.add_row(topic, *(f"{counts[name][topic]:,}" for name in sources))
        Output(stderr=True).print(table)


def _encoder(recipe: Recipe) -> Path | None:
    named = recipe.corpus.topics.encoder
    return None if named is None else resolve(named, default_cache())
