"""Writes docs/recipe.md from the recipe's schema, so that the manual cannot drift from the code: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sapwood.recipe import Recipe, Synthesis
from sapwood.recipe.units import Interval

INTRODUCTION = """\
# The recipe, field by field

A recipe is one YAML 1.2 file. It is checked as a whole before anything costs money: unknown fields, contradictions and
impossible budgets are errors that name the line, what was found and what to write instead. `sapwood init` writes one to
start from, `sapwood schema` prints the JSON schema for editors, `sapwood plan` shows what a recipe means in numbers.

Any field can be set on the command line by its path, with a value in YAML; an item of a list goes by its number or its
`name`:

    sapwood run recipe.yaml training.learning_rate=2e-5 stages.adaptation.tokens=40M

**Quantities.** Tokens: `92.5B`, `20M`, `4K` or a number. Bytes: `4GiB`, `500MB`. Stretches of a run: `10B` (tokens),
`200 steps`, and where a time makes sense `30min`. Shares: `7`, `0.25`, `20%` or `1/3`; they are normalised, and kept as
exact fractions.

A [synthesis job](#synthesis) is a file of the same kind, for `sapwood synthesize`.

**Paths** are taken from the recipe's directory; globs and URLs that fsspec knows (`s3://...`) work.

Fields marked *mutable* may change between the start of a run and its resumption; where they name texts, labels,
benchmark items or a model, these may move, and may not change. All others decide what is trained; a run whose recipe
changed in them is refused, with the difference named, except in stages that have not begun.

*This page is made from the code by `make docs`.*
"""


def main() -> None:
    """Writes the page beside this file."""
    Path(__file__).with_name("recipe.md").write_text(render(), encoding="utf-8")


def render() -> str:
    """The page, one section for each part of the recipe in the order in which they are met."""
    recipe, job = Recipe.model_json_schema(), Synthesis.model_json_schema()
    parts = {**recipe["$defs"], **job["$defs"]}
    sections, queue, seen = [INTRODUCTION], [("Recipe", recipe), ("Synthesis", job)], {"Recipe", "Synthesis"}
    while queue:
        name, part = queue.pop(0)
        sections.append(_section(name, part))
        for reference in _references(part):
            if reference not in seen:
                seen.add(reference)
                queue.append((reference, parts[reference]))
    return "\n".join(sections)


def _section(name: str, part: dict[str, Any]) -> str:
    lines = [
        f"## {name}",
        "",
        part.get("description", ""),
        "",
        "| field | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for field, about in part["properties"].items():
        default = "*required*" if field in part.get("required", ()) else _default(about)
        meaning = " ".join(about.get("description", "").split())
        mutable = {None: "", True: " *Mutable.*"}.get(mark := about.get("mutable"), f" *Mutable {mark}.*")
        lines.append(f"| `{field}` | {_type(about)} | {default} | {meaning}{mutable} |")
    return "\n".join(lines) + "\n"


def _default(about: dict[str, Any]) -> str:
    value = about.get("default")
    if isinstance(value, dict) and value.keys() == {"amount", "unit"}:
        return f"`{Interval(**value)}`"
    return "see below" if "$ref" in about else f"`{json.dumps(value)}`"


def _type(about: dict[str, Any] | bool) -> str:
    if isinstance(about, bool):
        return "anything"
    if "$ref" in about:
        name = about["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in about:
        return " or ".join(dict.fromkeys(_type(option) for option in about["anyOf"]))
    if "enum" in about:
        return " or ".join(f"`{value}`" for value in about["enum"])
    if "const" in about:
        return f"`{about['const']}`"
    if about.get("examples"):
        return "such as " + ", ".join(f"`{example}`" for example in about["examples"])
    kind = about.get("type", "anything")
    if kind == "array":
        return f"list of {_type(about.get('items', {}))}" if about.get("items") else "list"
    if kind == "object" and "properties" in about:
        (inner,) = {_type(part) for part in about["properties"].values()}
        return " or ".join(f"`{name}`" for name in about["properties"]) + f" to {inner}"
    if kind == "object":
        inner = about.get("additionalProperties") or next(iter(about.get("patternProperties", {"": {}}).values()))
        return f"names to {_type(inner)}"
    return {"string": "text", "integer": "whole number", "boolean": "`true` or `false`"}.get(kind, str(kind))


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else []
        return own + [name for key, value in part.items() if key != "$defs" for name in _references(value)]
    if isinstance(part, list):
        return [name for value in part for name in _references(value)]
    return []


if __name__ == "__main__":
    main()
