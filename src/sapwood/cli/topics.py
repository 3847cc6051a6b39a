"""`sapwood topics`: label some documents, train a classifier on the labels, give all documents their topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.cli.output import Output, with_json
from sapwood.progress import console
from sapwood.report.table import Table, count, number

if TYPE_CHECKING:
    from sapwood.pipeline.topics import ClassifierReport

topics = typer.Typer(help="Label documents with topics: a sample by a language model, all by a classifier.")


@topics.command()
def label(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Have a language model name the topic of a sample of documents. Asked before, it is not asked again."""
    from sapwood.pipeline.topics import label_topics

    run = open_run(recipe, overrides, runs)
    for reference, found in label_topics(run).items():
        console.print(
            f"{reference}: {found.labels:,} labels, {found.unclear:,} answers without a topic, {found.failed:,} "
            f"documents without an answer; {found.tokens:,} tokens. They are in {run.directory.topics(reference)}"
        )


@topics.command()
@with_json
def train(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Train a classifier for every taxonomy on its labels, and say what it is worth."""
    from sapwood.pipeline.topics import train_topics

    for report in train_topics(open_run(recipe, overrides, runs)):
        print_classifier(report)


@topics.command()
@with_json
def apply(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Give every document its topic with the classifiers that are trained."""
    from sapwood.pipeline.topics import apply_topics

    for reference, counts in apply_topics(open_run(recipe, overrides, runs)).items():
        _print_topics(reference, counts)


def print_classifier(report: ClassifierReport) -> None:
    """Prints how well a classifier does on labels that it has not seen."""
    low, high = report["accuracy_interval"]
    title = (
        f"{report['taxonomy']}: {report['accuracy']:.1%} right of {report['held_out']} held-out labels "
        f"({low:.1%} to {high:.1%}), {report['unsure']:.1%} below {report['confidence']:g}, "
        f"{1000 * report['seconds_per_document']:.2f} ms a document"
    )
    table = Table("topic", "precision", "recall", "F1", "labels", title=title)
    for line in report["topics"]:
        shares = (number(line[name] if line["support"] else None, 2) for name in ("precision", "recall", "f1"))
        table.add(line["topic"], *shares, count(line["support"]))
    Output(stderr=True).print(table)


def _print_topics(reference: str, counts: Mapping[str, Counter[str]]) -> None:
    """Prints how many documents of every source have each topic."""
    table = Table("topic", *counts, title=reference)
    for topic in sorted({topic for found in counts.values() for topic in found}):
        table.add(topic, *(count(found[topic]) for found in counts.values()))
    Output(stderr=True).print(table)
