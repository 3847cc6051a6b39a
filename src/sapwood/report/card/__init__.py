"""The model card: what the adapted model is made of and what it can be trusted with, from the facts of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sapwood import __version__
from sapwood.backbone.licence import CARD
from sapwood.files import write_atomic
from sapwood.recipe.schema import Recipe
from sapwood.report import wording
from sapwood.report.card import training
from sapwood.report.card.benchmarks import at_chance, benchmarks
from sapwood.report.card.facts import CardFacts, read_card_facts
from sapwood.report.card.metadata import front_matter
from sapwood.report.html import TEMPLATES
from sapwood.report.judged import changes_table
from sapwood.report.verdict import find, lead

PROMPT = "A tree adds a ring of living wood every year, and"
"""What the model continues in the quick start, where the recipe names no prompt."""


def write_card(recipe: Recipe, run: Path) -> None:
    """Writes `run/model/README.md` from what the run directory holds.

    Raises SapwoodError when the ledger was changed by hand, or a suite of the recipe is not there any more.
    """
    facts = read_card_facts(recipe, run)
    write_atomic(facts.run.run.model / CARD, _render(facts))


def _render(facts: CardFacts) -> str:
    recipe = facts.run.recipe
    changes, problem = find(facts.run)
    published = training.published_recipe(recipe)
    return (
        _environment()
        .get_template("page.md.j2")
        .render(
            metadata=front_matter(facts, changes),
            recipe=recipe,
            facts=facts,
            changes=changes_table(changes, facts.run.recipe.evaluation.confidence) if changes else None,
            lead=lead(changes) if changes else "",
            problem=problem,
            suites=[benchmarks(comparison) for comparison in facts.comparisons],
            first_bytes=None if facts.run.model is None else facts.run.model.settings.get("document_bytes"),
            limits=list(_limits(facts)),
            texts=training.texts(facts),
            synthetic=list(training.synthetic(facts)),
            stages=training.stages(facts.run),
            settings=training.settings(facts.run),
            published=published,
            fence=_fence(published),
            prompt=next(iter(recipe.evaluation.samples.prompts), PROMPT),
            version=facts.run.environment.get("sapwood", __version__),
        )
    )


def _environment() -> Environment:
    environment = Environment(  # Markdown: cells are escaped by the `cell` filter, not as HTML
        loader=FileSystemLoader(TEMPLATES / "card"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("number", "signed", "count", "confidence", "interval", "listed"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["cell"] = wording.literal
    environment.filters["published"] = wording.published
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    return environment


def _limits(facts: CardFacts) -> Iterator[str]:
    """What the tables leave open."""
    recipe, measured = facts.run.recipe, facts.run.model
    if measured is not None and measured.tokens != facts.run.trained_tokens:
        yield (
            f"The held-out texts were scored after {wording.count(measured.tokens)} tokens, not at the end: run "
            "`sapwood evaluate` again."
        )
    if open_ones := at_chance(facts.comparisons):
        yield (
            f"At chance before and after: {wording.listed(open_ones)}. There a loss could not show, and nothing can "
            "be said."
        )
    if facts.comparisons:
        yield (
            "True changes smaller than the column *detectable* would be missed by more than one in five such "
            "evaluations: no change shown is not no change."
        )
    if facts.comparisons and all(task.clean is None for found in facts.comparisons for task in found.tasks.values()):
        gate = recipe.corpus.decontamination
        yield (
            "Whether items of the benchmarks stand in the training texts was not looked for."
            if gate is None
            else f"Training texts with items of the benchmarks in the recipe were found by {gate.ngram} equal words in "
            f"a row and {'dropped' if gate.action == 'drop' else 'cut'}; a paraphrase or a translation is not found so."
        )
    if facts.run.unread:
        yield f"The benchmarks that were run cannot be compared: {wording.literal(facts.run.unread)}"
    elif not facts.comparisons:
        yield "No benchmark was run: bits per byte of held-out texts say little of answers to questions."
    if languages := _languages(facts):
        yield f"No language was looked at but {wording.literal(wording.listed(languages))}, as far as the recipe says."


def _languages(facts: CardFacts) -> list[str]:
    """Those of the texts that were trained on or measured, and of the benchmarks."""
    named = {source.language for source in facts.run.recipe.sources.values()}
    asked = {language for comparison in facts.comparisons for language in comparison.languages}
    return sorted(language for language in named | asked if language)


def _fence(text: str) -> str:
    """Backticks enough to stand around a text that may hold some itself."""
    return "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
