"""What the recipe wants of every source."""

from __future__ import annotations

from sapwood.recipe import Recipe
from sapwood.recipe.check import members

AIMS = {"gain": "to gain", "retention": "to keep", "": "not judged"}
"""What the recipe wants of a source, in words."""


def aims(recipe: Recipe) -> dict[str, str]:
    """What each source is judged as: `gain`, `retention`, or `""` for one that is trained on and not judged."""
    judged = {
        source: kind
        for kind, names in (
            ("gain", recipe.evaluation.gain.domains),
            ("retention", recipe.evaluation.retention.domains),
        )
        for name in names
        for source in members(recipe, name)
    }
    return {source: judged.get(source, "") for source in recipe.sources}
