"""`sapwood schema`: the recipe's JSON schema."""

from __future__ import annotations

import json

import typer

from sapwood.recipe import Recipe


def schema() -> None:
    """Print the JSON schema of the recipe, so that editors can complete and check it."""
    typer.echo(json.dumps(Recipe.model_json_schema(), indent=2, ensure_ascii=False))
