"""The model card: what the grown model is made of and what it can be trusted with, from the facts of the run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sapwood.files import write_atomic
from sapwood.recipe.schema import Recipe
from sapwood.report import wording
from sapwood.report.aims import AIMS
from sapwood.report.facts import read_facts
from sapwood.report.html import TEMPLATES
from sapwood.report.verdict import SIGNS, find, lead

_HUB_NAME = re.compile(r"[\w-][\w.-]*/(?!.*\.gguf)[\w-][\w.-]*(@[\w./-]+)?")


def write_card(recipe: Recipe, run: Path) -> None:
    """Writes `run/model/README.md` from what the run directory holds.

    Raises SapwoodError when the ledger was changed by hand.
    """
    facts = read_facts(recipe, run)
    findings, problem = find(facts)
    environment = Environment(  # Markdown: cells are escaped by the `cell` filter, not as HTML
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("number", "signed", "count", "confidence", "interval"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["cell"] = _cell
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    trained = [account.stock for account in facts.account.sources if account.stock.trained]
    lengths = dict.fromkeys(stage.sequence_length for stage in facts.account.stages if stage.begun)
    languages = {recipe.sources[account.name].language for account in trained}
    card = environment.get_template("card.md.j2").render(
        recipe=recipe,
        base_model=recipe.model.partition("@")[0] if _HUB_NAME.fullmatch(recipe.model) else None,
        languages=sorted(language for language in languages if language),
        sources=[(account, recipe.sources[account.name]) for account in trained],
        tokens=facts.trained_tokens,
        lengths=[wording.count(length) for length in lengths],
        findings=findings,
        lead=lead(findings, facts.benchmarks),
        problem=problem,
        signs=SIGNS,
        aims=AIMS,
    )
    write_atomic(run / "model" / "README.md", card)


def _cell(text: str) -> str:
    """Text that stays text inside a cell of a Markdown table."""
    return re.sub(r"([\\`*_{}\[\]<>|~#])", r"\\\1", " ".join(text.split()))
