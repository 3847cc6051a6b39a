"""Pages as a browser reads them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sapwood.recipe import Recipe
from sapwood.report.run_view import RunView
from sapwood.runs.directory import RunDirectory

VOID = {"meta", "link", "br", "hr", "img", "input"}


MOST_BYTES = 6_000_000


EVIL = "<script>alert(1)</script></script><img src=x onerror=alert(1)>"


def view_of(recipe: Recipe, run: Path) -> RunView:
    """A run in a directory, to be read."""
    return RunView(recipe, RunDirectory(run))


class Page(HTMLParser):
    """A page taken apart; raises when its elements do not close in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif "style" not in self.open:
            self.text += data
            if self.open and {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data

    @property
    def plain(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())

    @property
    def figures(self) -> list[dict[str, Any]]:
        return [json.loads(text) for attributes, text in self.scripts if "data-plot" in attributes]

    def figure(self, name: str) -> dict[str, Any]:
        """The figure `plot-NAME`."""
        (text,) = [text for attributes, text in self.scripts if attributes.get("data-plot") == f"plot-{name}"]
        found: dict[str, Any] = json.loads(text)
        return found

    def values(self, attribute: str) -> list[str]:
        return [value or "" for _, attributes in self.elements if (value := attributes.get(attribute)) is not None]


def with_colors(value: Any, properties: set[str]) -> Any:
    """What the page's script makes of a figure, in black; only properties of the style sheet may be asked for."""
    if isinstance(value, dict):
        return {key: with_colors(item, properties) for key, item in value.items()}
    if isinstance(value, list):
        return [with_colors(item, properties) for item in value]
    if isinstance(value, str) and value.startswith("--"):
        assert value.split()[0] in properties
        return "black"
    return value
