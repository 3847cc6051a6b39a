"""All that is done to the documents of a run, in order.

What a later step looks at is what the earlier ones left. A step whose inputs and settings did not change is not run
again, so that a changed setting redoes its own step and those that depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pyarrow as pa

from sapwood.backbone.encode import Encoder
from sapwood.corpus.annotate import Step, annotate
from sapwood.corpus.characters import WORDS_VERSION
from sapwood.corpus.contamination import contamination_step
from sapwood.corpus.duplicates import SCHEMA as DUPLICATES_SCHEMA
from sapwood.corpus.duplicates import find_duplicates, signatures_step
from sapwood.corpus.engine import check_engine
from sapwood.corpus.ingest import ingest
from sapwood.corpus.language import LanguageCheck
from sapwood.corpus.perplexity import PerplexityScores, Scorer, score_source
from sapwood.corpus.quality import QualityCheck
from sapwood.corpus.selection import HoldoutRule, select, trim_step
from sapwood.corpus.signals import Signals, signals_step
from sapwood.corpus.store import (
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    LANGUAGE,
    PERPLEXITY,
    QUALITY,
    SELECTION,
    SIGNALS,
    SIGNATURES,
    STEPS,
    TOPICS,
    TRIM,
    SourceStore,
)
from sapwood.corpus.topics.apply import TopicLabels, topics_step
from sapwood.recipe import Recipe, Synthesis
from sapwood.recipe.check import evaluation_only, scored
from sapwood.recipe.data import RuleSet
from sapwood.recipe.language import answers_for

VERDICTS = (LANGUAGE, QUALITY, DUPLICATES, CONTAMINATION, TRIM)
"""The steps that may set a document aside, in order."""


def prepare_documents(
    recipe: Recipe, stores: Mapping[str, SourceStore], encoder: Encoder, classifiers: Mapping[str, Path]
) -> None:
    """Does everything up to the topics; scoring and selection follow.

    `stores` are by source; `encoder` is the base model's; `classifiers` are directories by taxonomy, of those that are
    trained. Raises SapwoodError where something is missing or cannot work.
    """
    clean_documents(recipe, stores, classifiers, evaluation_only(recipe))
    for store in stores.values():
        annotate(store, signals_step(store, encoder), recipe.engine)


def clean_documents(
    recipe: Recipe | Synthesis,
    stores: Mapping[str, SourceStore],
    classifiers: Mapping[str, Path],
    evaluation_only: Sequence[str] = (),
) -> None:
    """Reads the documents and does with them what needs no model: checks, comparisons, topics.

    Of duplicates those in `evaluation_only` sources are kept before all others. All else is as in `prepare_documents`.
    """
    check_engine(recipe.engine)
    for name, store in stores.items():
        ingest(store, recipe.sources[name], recipe.corpus.normalise, recipe.engine)
    for name, store in stores.items():
        for step in _checks(recipe, name):
            annotate(store, step, recipe.engine)
    duplicates = recipe.corpus.duplicates
    if duplicates is not None:
        after = {name: verdicts(recipe, name, before=DUPLICATES) for name in stores}
        if duplicates.near:
            for name, store in stores.items():
                annotate(store, signatures_step(after[name]), recipe.engine)
        find_duplicates(list(stores.values()), after, duplicates, evaluation_only)
    benchmarks = recipe.corpus.decontamination
    gate = None if benchmarks is None else contamination_step(benchmarks, recipe.corpus.normalise)
    for name, store in stores.items():
        if gate is not None:
            annotate(store, replace(gate, after=verdicts(recipe, name, before=CONTAMINATION)), recipe.engine)
        taxonomy = recipe.sources[name].topics
        if taxonomy is not None and taxonomy in classifiers:
            confidence = recipe.corpus.topics.confidence
            step = topics_step(classifiers[taxonomy], confidence, verdicts(recipe, name, before=TRIM))
            annotate(store, step, recipe.engine)


def score_documents(recipe: Recipe, stores: Mapping[str, SourceStore], model: Path, encoder: Encoder) -> None:
    """Scores the documents that the recipe wants scored, under the model in the directory `model`."""
    if recipe.corpus.perplexity is not None:
        scorer = Scorer(model, encoder, recipe.corpus.perplexity.tokens)
        for name in scored(recipe):
            score_source(stores[name], scorer, verdicts(recipe, name, before=TRIM))


def select_documents(recipe: Recipe, stores: Mapping[str, SourceStore]) -> None:
    """Trims by perplexity, and decides what is held out and what is trained on."""
    never = evaluation_only(recipe)
    for name, store in stores.items():
        if TRIM in verdicts(recipe, name) and recipe.corpus.perplexity is not None:
            step = trim_step(store, recipe.corpus.perplexity.trim, verdicts(recipe, name, before=TRIM))
            annotate(store, step, recipe.engine)
        whole = HoldoutRule(Fraction(1), "")
        rule = whole if name in never else HoldoutRule(recipe.holdout.share, recipe.holdout.salt)
        select(store, verdicts(recipe, name), rule)


def verdicts(recipe: Recipe | Synthesis, source: str, before: str | None = None) -> tuple[str, ...]:
    """The steps that may set documents of a source aside, in order; with `before`, those that come before that one."""
    corpus = recipe.corpus
    active = {
        LANGUAGE: corpus.language is not None,
        QUALITY: bool(rule_sets(recipe, source)),
        DUPLICATES: corpus.duplicates is not None,
        CONTAMINATION: corpus.decontamination is not None,
        TRIM: corpus.perplexity is not None
        and isinstance(recipe, Recipe)
        and source in scored(recipe)
        and corpus.perplexity.trim.head + corpus.perplexity.trim.tail > 0,
    }
    steps = VERDICTS if before is None else VERDICTS[: VERDICTS.index(before)]
    return tuple(step for step in steps if active[step])


def steps_of(recipe: Recipe, source: str) -> tuple[str, ...]:
    """All steps that the recipe asks for of a source, in order."""
    corpus = recipe.corpus
    also = {
        SIGNATURES: corpus.duplicates is not None and corpus.duplicates.near,
        TOPICS: recipe.sources[source].topics is not None,
        PERPLEXITY: source in scored(recipe),
    }
    asked = {DOCUMENTS, SIGNALS, SELECTION, *verdicts(recipe, source), *(step for step, on in also.items() if on)}
    return tuple(step for step in STEPS if step in asked)


def scores_of(recipe: Recipe, source: str) -> set[str]:
    """The numbers that the steps of a source will give its documents, by which these can be ordered."""
    columns: dict[str, Iterable[pa.Field]] = {
        SIGNALS: pa.schema(Signals.columns),
        LANGUAGE: pa.schema(LanguageCheck.columns),
        DUPLICATES: DUPLICATES_SCHEMA,
        TOPICS: pa.schema(TopicLabels.columns),
        PERPLEXITY: pa.schema(PerplexityScores.columns),
    }
    fields = [field for step in steps_of(recipe, source) for field in columns.get(step, ())]
    return {field.name for field in fields if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)}


def rule_sets(recipe: Recipe | Synthesis, source: str) -> list[RuleSet]:
    """The rules of quality that hold for a source."""
    own = recipe.sources[source].quality
    return recipe.corpus.quality if own is None else own


def _checks(recipe: Recipe | Synthesis, name: str) -> Iterator[Step]:
    """What is checked of each document by itself, before it is compared with others."""
    language, rules = recipe.corpus.language, rule_sets(recipe, name)
    if language is not None:
        expected = recipe.sources[name].language
        settings = {"expected": expected, **language.model_dump()}
        if expected is not None and (relatives := answers_for(expected) - {expected}):
            settings["relatives"] = sorted(relatives)
        yield Step(name=LANGUAGE, annotator=LanguageCheck(expected, language), settings=settings)
    if rules:
        after = verdicts(recipe, name, before=QUALITY)
        yield Step(
            name=QUALITY, annotator=QualityCheck(rules), settings={"words": WORDS_VERSION, "rules": rules}, after=after
        )
