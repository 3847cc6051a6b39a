"""The data report: what became of the documents."""

from __future__ import annotations

from pathlib import Path

from sapwood.recipe.schema import Recipe


def write_data_report(recipe: Recipe, run: Path) -> Path:
    """Writes `run/data.html`."""
    return run / "data.html"
