"""Every field of a recipe is free to change in a begun run, or compared: this is the list of those that are free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sapwood.recipe import Recipe
from sapwood.recipe.fields import MEASURING, MUTABLE

NAMES_OF_INPUTS = {
    "Recipe.model",
    "Source.files",
    "Source.synthesis",
    "Decontamination.benchmarks",
    "Topics.labels",
    "Perplexity.model",
}
"""What they name may move, and may not change: compared by what is in it (`test_directory.py`, `test_loop.py`)."""
MEASURED = {"Evaluation.bytes", "Evaluation.document_bytes"}
FREE = {
    *("Source.licence", "Source.max_dropped", "Recipe.engine"),
    *(f"Labeller.{name}" for name in ("url", "key", "parallel", "timeout", "price")),
    *("Labeller.requests_per_minute", "Labeller.tokens_per_minute"),
    *(f"Training.{name}" for name in ("micro_batch", "loss", "activation_checkpointing", "compile", "parallel")),
    "Training.deterministic",
    "Training.trackers",
    *(f"Checkpoints.{name}" for name in ("every", "keep", "keep_every", "best", "asynchronous", "mirror")),
    *(f"Evaluation.{name}" for name in ("samples", "suites", "items", "during")),
}
"""None of these decides what is trained on, in which order, or with which settings."""


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def fields(part: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, FieldInfo]]:
    seen.add(part)
    for name, field in part.model_fields.items():
        yield f"{part.__name__}.{name}", field
        for inner in parts(field.annotation):
            if inner not in seen:
                yield from fields(inner, seen)


ALL = dict(fields(Recipe, set()))


def test_the_list_is_whole() -> None:
    marked = {name for name, field in ALL.items() if "mutable" in (field.json_schema_extra or {})}
    assert marked == NAMES_OF_INPUTS | MEASURED | FREE
    assert len(ALL) > 130


@pytest.mark.parametrize(("names", "mark"), [(NAMES_OF_INPUTS | FREE, MUTABLE), (MEASURED, MEASURING)])
def test_marks_stand_alone(names: set[str], mark: dict[str, object]) -> None:
    """A mark beside something else would not be seen for one."""
    assert all(ALL[name].json_schema_extra == mark for name in names)
