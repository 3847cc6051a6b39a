"""The report: one page that needs no network, with what was gained, kept and lost first."""

from __future__ import annotations

import base64
import hashlib
import shlex
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sapwood.files import write_atomic
from sapwood.recipe.load import dump_recipe
from sapwood.recipe.schema import Recipe
from sapwood.report import sections, wording
from sapwood.report.account import AIMS
from sapwood.report.axes import Figure
from sapwood.report.facts import Facts, read_facts

TEMPLATES = Path(__file__).with_name("templates")

_FILES = (
    "recipe.yaml",
    "plan.json",
    "ledger.jsonl",
    "metrics.jsonl",
    "environment.json",
    "evaluation/*.json",
    "data.html",
    "corpus/*/*/manifest.json",
    "corpus/*/documents/quarantine.jsonl",
    "tokens/*/manifest.json",
    "model/README.md",
)
"""What the page links to, beside which it lies."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing may be loaded; the scripts that may run are added by their hashes."""

_SECTIONS = (
    ("verdict", "Verdict", sections.verdict_section),
    ("plan", "Plan and ledger", sections.plan_section),
    ("training", "Training", sections.training_section),
    ("mixture", "Mixture", sections.mixture_section),
    ("domains", "Bits per byte", sections.domains_section),
    ("samples", "Samples", sections.samples_section),
    ("account", "Token account", sections.account_section),
)


def write_report(recipe: Recipe, run: Path) -> Path:
    """Writes `run/report.html` from what the run directory holds so far, and returns its path.

    Sections for which something is missing say what, and which command makes it. Raises SapwoodError when the ledger
    was changed by hand.
    """
    facts = read_facts(recipe, run)
    path = run / "report.html"
    write_atomic(path, _render(facts))
    return path


def _render(facts: Facts) -> str:
    plotly = get_plotlyjs()
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    parts: dict[str, Any] = {name: build(facts) for name, _, build in _SECTIONS}
    parts["environment"] = {
        "versions": facts.environment,
        "recipe": dump_recipe(facts.recipe),
        "files": _links(facts.run.root),
    }
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            recipe=facts.recipe,
            started=facts.events[0]["time"] if facts.events else "",
            ended=facts.events[-1]["time"] if facts.events and facts.events[-1]["event"] == "finish" else "",
            run=shlex.quote(str(facts.run.root)),
            titles=[*((name, title) for name, title, _ in _SECTIONS), ("environment", "Environment")],
            parts=parts,
            plotly=Markup(plotly),
            script=Markup(script),
            policy=f"{_POLICY}; script-src {_hash(plotly)} {_hash(script)}",
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "signed", "count", "rate", "confidence", "interval", "duration", "size", "listed"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["figure"] = _figure
    environment.globals["AIMS"] = AIMS
    return environment


def _figure(figure: Figure) -> Markup:
    """A figure as JSON that nothing can end early inside a script element."""
    text = orjson.dumps(figure, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _hash(script: str) -> str:
    """How the page's content security policy names the two scripts that may run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _links(run: Path) -> list[tuple[str, str, int]]:
    """Name, address and size of the files that the page links to; empty ones say nothing."""
    found = [path for pattern in _FILES for path in sorted(run.glob(pattern)) if path.stat().st_size]
    names = [path.relative_to(run).as_posix() for path in found]
    return [(name, quote(name), path.stat().st_size) for name, path in zip(names, found, strict=True)]
