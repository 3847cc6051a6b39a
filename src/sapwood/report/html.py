"""What all pages have in common: one file that needs no network, in which nothing but our own two scripts may run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sapwood.report import wording
from sapwood.report.axes import Figure
from sapwood.statistics.change import SCORE

TEMPLATES = Path(__file__).with_name("templates")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing may be loaded; the scripts that may run are added by their hashes."""


Shown = TypeVar("Shown")
Sections = tuple[tuple[str, str, Callable[[Shown], dict[str, Any]]], ...]
"""Name, title, and what builds the values for the template, of each section."""


def render(template: str, titles: list[tuple[str, str]], **context: Any) -> str:
    """A page. `titles` are the sections' names and titles; what is in them is under `parts` in the context."""
    plotly = get_plotlyjs()
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template(template)
        .render(
            titles=titles,
            plotly=Markup(plotly),
            script=Markup(script),
            policy=f"{_POLICY}; script-src {_hash(plotly)} {_hash(script)}",
            **context,
        )
    )


def render_sections(folder: str, sections: Sections[Shown], facts: Shown, **context: Any) -> str:
    """The page `FOLDER/page.html.j2`, each section built from the facts."""
    parts = {name: build(facts) for name, _, build in sections}
    titles = [(name, title) for name, title, _ in sections]
    return render(f"{folder}/page.html.j2", titles, parts=parts, folder=f"{folder}/", **context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "number",
        "signed",
        "count",
        "rate",
        "confidence",
        "interval",
        "duration",
        "size",
        "listed",
        "p_value",
        "percent",
        "published",
        "score",
        "score_change",
        "short",
    ):
        environment.filters[name] = getattr(wording, name)
    environment.filters["figure"] = _figure
    environment.globals["SCORE"] = SCORE
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
