"""What the steps over documents need beside them: taxonomies and labels, benchmark items, scores to order by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sapwood.corpus.contamination import load_items
from sapwood.corpus.engine import check_engine
from sapwood.corpus.inputs import list_files
from sapwood.corpus.prepare import scores_of
from sapwood.corpus.topics.label import LABELS, Taxonomy, load_taxonomy, read_labels
from sapwood.errors import SapwoodError, closest
from sapwood.pipeline.checks import Problem
from sapwood.recipe import Recipe
from sapwood.recipe.check import named, order_of, split_by_topic
from sapwood.recipe.data import Normalise
from sapwood.recipe.mixture import Shares
from sapwood.runs.directory import RunDirectory
from sapwood.tokens.store import SYNONYMS


def check_corpus(recipe: Recipe) -> Iterator[Problem]:
    """What the steps over documents lack, of what the recipe names."""
    yield from _engine(recipe)
    yield from check_topics(recipe)
    if recipe.corpus.decontamination is not None:
        for message in benchmark_problems(recipe.corpus.decontamination.benchmarks, recipe.corpus.normalise):
            yield Problem(("corpus", "decontamination", "benchmarks"), message)
    yield from _orders(recipe)


def benchmark_problems(patterns: Sequence[str], settings: Normalise) -> list[str]:
    """What is wrong with files of benchmark items that documents are compared with."""
    found = []
    for pattern in patterns:
        try:
            list_files("benchmarks", [pattern])
        except SapwoodError as error:
            found.append(str(error).removeprefix("Source 'benchmarks': "))
    if not found:
        try:
            load_items(patterns, settings)
        except SapwoodError as error:
            found.append(str(error))
    return found


def _engine(recipe: Recipe) -> Iterator[Problem]:
    try:
        check_engine(recipe.engine)
    except SapwoodError as error:
        yield Problem(("engine",), str(error))


def check_labels(recipe: Recipe, run: RunDirectory) -> Iterator[Problem]:
    """Which taxonomies have no labels, of those that domains are made of: without any, no document gets a topic."""
    settings = recipe.corpus.topics
    needed = dict.fromkeys(recipe.sources[name].topics or "" for name in split_by_topic(recipe))
    for reference in needed:
        if reference in settings.labels or (run.topics(reference) / LABELS).exists():
            continue
        message = f"the topics of {reference} are shares of the mixture, and nothing is labelled with them"
        if settings.labeller is None:
            message += f". Name a file, `labels: {{{reference}: FILE}}`, or a model, `labeller: {{url: …, model: …}}`"
            sizes = [source.tokens for source in recipe.sources.values() if source.topics == reference]
            yield Problem(("corpus", "topics"), message, waits=all(sizes))
        else:
            message += ": `sapwood prepare --unscored` and `sapwood topics label` come before"
            yield Problem(("corpus", "topics", "labeller"), message, waits=True)


def check_topics(recipe: Recipe) -> Iterator[Problem]:
    """What is wrong with taxonomies, with files of labels, and with topics that are named."""
    taxonomies: dict[str, Taxonomy] = {}
    for name, source in recipe.sources.items():
        if source.topics is not None and source.topics not in taxonomies:
            try:
                taxonomies[source.topics] = load_taxonomy(source.topics)
            except SapwoodError as error:
                yield Problem(("sources", name, "topics"), str(error))
    for reference, file in recipe.corpus.topics.labels.items():
        place = ("corpus", "topics", "labels", reference)
        try:
            if reference in taxonomies and not read_labels(Path(file), taxonomies[reference]):
                yield Problem(place, f"{file} holds no labels")
        except SapwoodError as error:
            yield Problem(place, str(error))
    for path, divided, shares in _stated(recipe):
        taxonomy = taxonomies.get(recipe.sources[divided].topics or "")
        for topic in named(shares):
            if taxonomy is not None and topic not in taxonomy.names:
                message = f"{taxonomy.name} has no topic '{topic}'. {closest(topic, taxonomy.names)}"
                yield Problem((*path, topic), message)


def _stated(recipe: Recipe) -> Iterator[tuple[tuple[str, ...], str, Shares]]:
    """The shares of topics that the recipe states: where, of which source, and they."""
    for source, shares in recipe.topics.items():
        yield ("topics", source), source, shares
    for number, stage in enumerate(recipe.stages):
        for source, shares in stage.topics.items():
            yield ("stages", str(number), "topics", source), source, shares


def _orders(recipe: Recipe) -> Iterator[Problem]:
    for number, stage in enumerate(recipe.stages):
        for name, order in stage.order.items():
            if order.by == "shuffle":
                continue
            sources = [source for source in recipe.sources if order_of(stage, recipe, source) is order]
            for source in sources:
                there = scores_of(recipe, source)
                there |= {name for name, (_, column) in SYNONYMS.items() if column in there}
                if order.by not in there:
                    message = f"no step gives the documents of '{source}' a score '{order.by}'. "
                    message += closest(order.by, {*there, *SYNONYMS, "shuffle"})
                    yield Problem(("stages", str(number), "order", name, "by"), message)
                    break
