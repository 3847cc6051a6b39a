"""Opens what a run directory holds of the mixture: sizes, epochs over documents, the stream."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError
from sapwood.files import fingerprint
from sapwood.mixture.domains import Domain, Sizes, held_out_by_topic, topic_members, topic_sizes
from sapwood.mixture.epochs import Epochs
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.stream import Stream
from sapwood.recipe import Recipe
from sapwood.recipe.check import order_of, split_by_topic
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import read_manifest
from sapwood.tokens.store import TokenStore, find_score, read_scores


def read_sizes(recipe: Recipe, run: RunDirectory) -> Sizes:
    """What is there of every source that is prepared, and of the topics of those that are divided."""
    divided = split_by_topic(recipe)
    manifests = {source: read_manifest(run.tokens(source)) for source in recipe.sources}
    return Sizes(
        sources={source: manifest.counts["train_tokens"] for source, manifest in manifests.items() if manifest},
        topics={source: topic_sizes(run.divided(source)) for source in divided},
        held_out={source: manifest.counts["holdout_documents"] for source, manifest in manifests.items() if manifest}
        | {
            f"{source}/{topic}": count
            for source in divided
            for topic, count in held_out_by_topic(run.divided(source)).items()
        },
    )


def source_identity(recipe: Recipe, run: RunDirectory, source: str) -> str:
    """A fingerprint of all that decides which tokens of a source come in which order.

    Raises SapwoodError where the source is not prepared, or lacks a score that a stage orders it by.
    """
    tokens = read_manifest(run.tokens(source))
    if tokens is None:
        raise SapwoodError(f"The source '{source}' is not prepared yet: `sapwood prepare` does that.")
    parts = [tokens.fingerprint]
    if source in split_by_topic(recipe):
        divided = read_manifest(run.divided(source))
        if divided is None:
            raise SapwoodError(f"The source '{source}' is not divided by topic yet: `sapwood prepare` does that.")
        parts.append(divided.fingerprint)
    corpus = store_of(run, source)
    for score in sorted({order_of(stage, recipe, source).by for stage in recipe.stages} - {"shuffle"}):
        parts.append(corpus.manifest(find_score(corpus, score)[0]).fingerprint)
    return fingerprint(parts) if len(parts) > 1 else parts[0]


def source_identities(recipe: Recipe, run: RunDirectory, domains: Iterable[Domain]) -> dict[str, str]:
    """What a run is begun with (`Ledger.begin`): the fingerprints of the sources of these domains, by name."""
    sources = dict.fromkeys(domain.source for domain in domains)
    return {f"source '{source}'": source_identity(recipe, run, source) for source in sources}


def open_stream(recipe: Recipe, run: RunDirectory, ledger: Ledger, domains: Iterable[Domain]) -> Stream:
    """The stream of a run that is prepared. Raises SapwoodError where it is not."""
    stores: dict[str, TokenStore] = {}
    identities: dict[str, str] = {}
    epochs = {}
    for domain in domains:
        source = domain.source
        if source not in stores:
            identities[source] = source_identity(recipe, run, source)
            stores[source] = TokenStore(run.tokens(source), "train")
        divided = domain.name != source
        if not domain.tokens:
            continue
        epochs[domain.name] = Epochs(
            run.epochs(domain.name),
            stores[source],
            topic_members(run.divided(source), domain.name.removeprefix(f"{source}/")) if divided else None,
            domain.tokens,
            partial(read_scores, store_of(run, source), stores[source]),
            key=f"{recipe.seed}/{domain.name}",
            identity=identities[source],
        )
    return Stream(ledger, epochs)
