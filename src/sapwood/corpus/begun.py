"""Whether a recipe names what documents were prepared from: texts, benchmark items, labels, the model that scores.

Names may change, contents may not. What the steps were made from stands in their manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
from sapwood.corpus.contamination import benchmark_fingerprint
from sapwood.corpus.ingest import ingested
from sapwood.corpus.store import CONTAMINATION, DOCUMENTS, LANGUAGE, PERPLEXITY, TOPICS, SourceStore
from sapwood.errors import SapwoodError, argument
from sapwood.recipe import Recipe
from sapwood.recipe.check import scored
from sapwood.recipe.data import Source
from sapwood.runs.manifest import read_manifest

SHOWN_REASONS = 3
"""The most frequent reasons are named."""


def refuse_losses(
    sources: Mapping[str, Source], stores: Mapping[str, SourceStore], steps: Mapping[str, Sequence[str]]
) -> None:
    """Raises SapwoodError where a step dropped a larger share of what it was given than `max_dropped` of the source.

    `steps` are those of each source that are done and judge its documents, but for the trim, which drops the share that
    the recipe states.
    """
    found = [line for name, source in sources.items() for line in _of_source(name, source, stores[name], steps[name])]
    if found:
        raise SapwoodError(
            "\n".join(found) + "\nThat is most of a source, and seldom meant. Put it right in the recipe; where it is "
            f"meant, write `max_dropped` as above under the source, or give {argument('accept_losses', True)}. What is "
            "prepared is kept, and the same command continues."
        )


def _of_source(name: str, source: Source, store: SourceStore, steps: Sequence[str]) -> Iterator[str]:
    for step in (DOCUMENTS, *steps):
        manifest = store.manifest(step)
        names = ("documents_read", "quarantined") if step == DOCUMENTS else ("documents", "dropped")
        given, dropped = (manifest.counts[count] for count in names)
        if dropped <= given * source.max_dropped:
            continue
        reasons = sorted(manifest.reasons.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{reason} ({count:,})" for reason, count in reasons[:SHOWN_REASONS])
        what = "rows could not be read" if step == DOCUMENTS else f"documents were dropped by the step '{step}'"
        needed = -(-100 * dropped // given)
        hint = f". Is `language: {source.language}` right?" if step == LANGUAGE else "."
        yield (f"sources.{name}: {dropped:,} of {given:,} {what}: {told}{hint} To go on: `max_dropped: {needed}%`")


def other_texts(recipe: Recipe, before: Recipe, stores: Mapping[str, SourceStore]) -> Iterator[str]:
    """The sources of `recipe` with other texts than `stores` hold, as `field: old -> new`.

    Files are read only where they are named otherwise than in `before`.
    """
    for name, source in recipe.sources.items():
        known = before.sources.get(name)
        if known is None:
            continue
        if known.synthesis != source.synthesis:
            yield f"sources.{name}.synthesis: {known.synthesis or 'none'} -> {source.synthesis or 'none'}"
        elif known.files != source.files and not ingested(stores[name], source, recipe.corpus.normalise):
            yield f"sources.{name}.files: {', '.join(known.files)} -> {', '.join(source.files)}"


def other_inputs(
    recipe: Recipe, before: Recipe | None, stores: Mapping[str, SourceStore], topics: Callable[[str], Path]
) -> Iterator[str]:
    """What else `stores` were prepared from that is not what `recipe` names, as `field: old -> new`.

    Only what is named otherwise than in `before` is read; everything, where that is None. `topics` gives the directory
    of a taxonomy. Raises SapwoodError where something is missing.
    """
    was = before or recipe
    old, new = was.corpus.decontamination, recipe.corpus.decontamination
    if old and new and (before is None or old.benchmarks != new.benchmarks):
        identity = benchmark_fingerprint(new.benchmarks)
        if any(made != identity for made in _made(CONTAMINATION, "benchmarks", stores.values())):
            yield _line("corpus.decontamination.benchmarks", ", ".join(old.benchmarks), ", ".join(new.benchmarks))
    labels = was.corpus.topics.labels, recipe.corpus.topics.labels
    for reference in dict.fromkeys(source.topics for source in recipe.sources.values() if source.topics is not None):
        named = [given.get(reference) for given in labels]
        labelled = [store for name, store in stores.items() if recipe.sources[name].topics == reference]
        if before is None or named[0] != named[1]:
            made_by = list(_made(TOPICS, "classifier", labelled))
            identity = _classifier(recipe, reference, topics(reference)) if made_by else ""
            if any(made != identity for made in made_by):
                changed = f"corpus.topics: the labels, the taxonomy or the encoder of {reference} have changed"
                field = f"corpus.topics.labels.{reference}"
                yield changed if named[0] == named[1] else _line(field, *named)
    judge, other = was.corpus.perplexity, recipe.corpus.perplexity
    if judge and other and ((before is None and other.model) or judge.model != other.model):
        identity = fingerprint_model(resolve(other.model or recipe.model, default_cache()))
        if any(made != identity for made in _made(PERPLEXITY, "model", [stores[name] for name in scored(recipe)])):
            yield _line("corpus.perplexity.model", judge.model, other.model)


def _made(step: str, setting: str, stores: Iterable[SourceStore]) -> Iterator[object]:
    """What a setting of a step was when it was done, for all sources of which it was."""
    for store in stores:
        done = read_manifest(store.step(step))
        if done is not None:
            yield done.settings[setting]


def _line(field: str, old: str | None, new: str | None) -> str:
    if old == new:
        return f"{field}: what is in {new} has changed"
    return f"{field}: {old or 'none'} -> {new or 'none'}"


def _classifier(recipe: Recipe, reference: str, directory: Path) -> str:
    """The fingerprint of the classifier that the labels of a taxonomy give now."""
    from sapwood.corpus.topics.label import gather_labels, load_taxonomy
    from sapwood.corpus.topics.train import training_fingerprint

    taxonomy, encoder = load_taxonomy(reference), recipe.corpus.topics.encoder
    labels = gather_labels(recipe, reference, taxonomy, directory)
    return training_fingerprint(labels, taxonomy, resolve(encoder, default_cache()) if encoder else None)
