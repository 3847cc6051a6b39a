"""Reads a recipe: YAML and dotted overrides in, a checked `Recipe` out, errors with file and line."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from glob import escape
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from sapwood.files import refuse_changed
from sapwood.recipe import synthesis
from sapwood.recipe.check import is_measured, problems
from sapwood.recipe.data import Corpus, Source
from sapwood.recipe.document import RecipeError, read_document
from sapwood.recipe.fields import MEASURING, MUTABLE
from sapwood.recipe.mixture import Weighting
from sapwood.recipe.schema import Evaluation, Recipe
from sapwood.recipe.synthesis import Synthesis


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks the recipe in `path`.

    `overrides` are `dotted.path=value` with the value in YAML, such as `training.batch_tokens=8K`; an item of a list
    is named by its number or its `name`. Relative file names are taken from the recipe's directory.

    Raises RecipeError, which lists every mistake with its line.
    """
    if not path.is_file():
        raise RecipeError(f"There is no recipe {path}. `sapwood init {path}` writes one to start from.")
    refuse_changed(path)
    return _located(read_document(path, overrides, Recipe, problems), path.parent)


def load_synthesis(path: Path, overrides: Sequence[str] = ()) -> Synthesis:
    """Reads and checks the synthesis job in `path`, as `load_recipe` does with a recipe."""
    if not path.is_file():
        raise RecipeError(f"There is no synthesis job {path}. examples/synthesis/ has one to start from.")
    refuse_changed(path)
    return _located_synthesis(read_document(path, overrides, Synthesis, synthesis.problems), path)


def dump_recipe(recipe: Recipe | Synthesis) -> str:
    """The recipe, or job, as YAML with every default written out. `load_recipe` reads it back to an equal recipe."""
    return dump(recipe.model_dump(mode="json"))


def dump(value: Any) -> str:
    """A value of JSON as YAML, in the form of a recipe."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 110
    yaml.dump(value, stream)
    return stream.getvalue()


def differences(before: Recipe, after: Recipe) -> list[str]:
    """Where two recipes differ in what decides the training: `path: old -> new`. Mutable fields are left out."""
    marks = _free(before)
    old, new = (_flatten(_without(recipe, marks)) for recipe in (before, after))
    return [
        f"{path}: {old.get(path, 'absent')} -> {new.get(path, 'absent')}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def leaves(recipe: Recipe) -> dict[str, Any]:
    """What decides the training, by dotted path."""
    return _flatten(fixed(recipe))


def fixed(recipe: Recipe | Synthesis) -> Any:
    """What decides the outcome: the dump of a recipe, or of a job, without its mutable fields."""
    return _without(recipe, _free(recipe))


def _free(recipe: Recipe | Synthesis) -> tuple[object, ...]:
    """The marks of fields that do not decide the outcome."""
    return (MUTABLE,) if isinstance(recipe, Recipe) and is_measured(recipe) else (MUTABLE, MEASURING)


def _without(recipe: Recipe | Synthesis, marks: Sequence[object]) -> Any:
    dump = recipe.model_dump(mode="json")
    _prune(recipe, dump, marks)
    return dump


def _prune(value: Any, dump: Any, marks: Sequence[object]) -> None:
    """Removes from the dump of `value` what has one of the marks in any model below it."""
    if isinstance(value, Weighting):
        return  # it is written in words of its own
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if field.json_schema_extra in marks:
                del dump[name]
            else:
                _prune(getattr(value, name), dump[name], marks)
    elif isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            _prune(value[key], dump[key], marks)


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict | list) or not value:
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        key: leaf
        for name, part in items
        for key, leaf in _flatten(part, f"{path}.{name}" if path else str(name)).items()
    }


def _located(recipe: Recipe, here: Path) -> Recipe:
    """The same with file names that do not depend on where they are read."""
    return recipe.model_copy(
        update={
            "sources": _located_sources(recipe.sources, here),
            "corpus": _located_corpus(recipe.corpus, here),
            "model": _located_model(recipe.model, here),
            "evaluation": _located_evaluation(recipe.evaluation, here),
        }
    )


def _located_synthesis(job: Synthesis, path: Path) -> Synthesis:
    here = path.parent
    shown = job.problems and job.problems.model_copy(update={"files": _absolute_all(job.problems.files, here)})
    gate = job.verify.contamination
    gate = gate and gate.model_copy(update={"benchmarks": _absolute_all(gate.benchmarks, here)})
    return job.model_copy(
        update={
            "output": _absolute(job.output or path.stem, here),
            "sources": _located_sources(job.sources, here),
            "corpus": _located_corpus(job.corpus, here),
            "classifiers": {
                _shipped_or_absolute(name, here): _absolute(directory, here)
                for name, directory in job.classifiers.items()
            },
            "problems": shown,
            "prompts": job.prompts and _absolute(job.prompts, here),
            "verify": job.verify.model_copy(update={"contamination": gate}),
        }
    )


def _located_sources(sources: dict[str, Source], here: Path) -> dict[str, Source]:
    return {
        name: source.model_copy(
            update={
                "files": _absolute_all(source.files, here),
                "topics": source.topics and _shipped_or_absolute(source.topics, here),
                "synthesis": source.synthesis and _absolute(source.synthesis, here),
            }
        )
        for name, source in sources.items()
    }


def _located_corpus(corpus: Corpus, here: Path) -> Corpus:
    topics, gate, perplexity = corpus.topics, corpus.decontamination, corpus.perplexity
    labels = {_shipped_or_absolute(name, here): _absolute(file, here) for name, file in topics.labels.items()}
    encoder = topics.encoder and _located_model(topics.encoder, here)
    return corpus.model_copy(
        update={
            "topics": topics.model_copy(update={"labels": labels, "encoder": encoder}),
            "decontamination": gate and gate.model_copy(update={"benchmarks": _absolute_all(gate.benchmarks, here)}),
            "perplexity": perplexity
            and perplexity.model_copy(update={"model": perplexity.model and _located_model(perplexity.model, here)}),
        }
    )


def _located_evaluation(evaluation: Evaluation, here: Path) -> Evaluation:
    during = evaluation.during
    return evaluation.model_copy(
        update={
            "suites": [_shipped_or_absolute(suite, here) for suite in evaluation.suites],
            "items": evaluation.items and _absolute(evaluation.items, here),
            "during": during
            and during.model_copy(update={"suites": [_shipped_or_absolute(suite, here) for suite in during.suites]}),
        }
    )


def _shipped_or_absolute(name: str, here: Path) -> str:
    """A taxonomy, or a suite, is a file, or the name of one that comes with Sapwood."""
    return _absolute(name, here) if name.endswith((".yaml", ".yml")) else name


def _located_model(model: str, here: Path) -> str:
    return _absolute(model, here) if model.startswith((".", "~")) else model


def _absolute_all(files: list[str], directory: Path) -> list[str]:
    """Patterns, which the names of the directory are no part of: signs of patterns in them are escaped."""
    return [_absolute(file, directory, escape) for file in files]


def _absolute(file: str, directory: Path, written: Callable[[str], str] = str) -> str:
    """`written` is how the directory is written in front of a relative path."""
    if "://" in file:
        return file
    home = os.path.expanduser(file)  # noqa: PTH111 - which leaves `./~` and the names of unknown users alone
    return str(Path(written(str(directory.absolute()))) / home)
