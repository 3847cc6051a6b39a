"""Recipes with some fields written otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def edited(path: Path, changes: dict[str, Any]) -> Path:
    """The recipe with fields set, by dotted path."""
    recipe = json.loads(path.read_text())
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place = recipe
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[last] = value
    path.write_text(json.dumps(recipe, indent=1))
    return path
