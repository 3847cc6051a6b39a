"""A study of two arms over the tiny recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def tiny_study(tiny_recipe: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a study beside the tiny recipe, of one short stage; the arguments replace its fields."""

    def write(**fields: object) -> Path:
        recipe = tiny_recipe(
            stages=[{"name": "adaptation", "tokens": 1024, "mixture": {"zh": 8, "en": 2}}],
            evaluation={
                "gain": {"domains": ["zh"]},
                "retention": {"domains": ["en", "news-en"], "margin": 0.05},
                "bytes": "2KiB",
                "samples": {"tokens": 0},
            },
        )
        study = {
            "name": "toy",
            "question": "Does replay keep English?",
            "base": recipe.name,
            "arms": {"replay": {}, "none": {"stages.0.mixture": {"zh": 1}}},
            "seeds": 2,
            "primary": ["zh", "en"],
            **fields,
        }
        path = recipe.parent / "study.yaml"
        path.write_text(json.dumps({name: value for name, value in study.items() if value is not None}))
        return path

    return write
