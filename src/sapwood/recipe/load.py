"""Reads a recipe: YAML and dotted overrides in, a checked `Recipe` out, errors with file and line."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from sapwood.errors import SapwoodError, closest
from sapwood.recipe.check import problems
from sapwood.recipe.data import Corpus
from sapwood.recipe.fields import MUTABLE
from sapwood.recipe.mixture import SHARES_TAG, WEIGHTING_TAG, Weighting
from sapwood.recipe.schema import Recipe

Location = tuple[str | int, ...]


class RecipeError(SapwoodError):
    """One or more mistakes in a recipe, each with its line."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks the recipe in `path`.

    `overrides` are `dotted.path=value` with the value in YAML, such as `training.batch_tokens=8K`; an item of a list
    is named by its number or its `name`. Relative file names are taken from the recipe's directory.

    Raises RecipeError, which lists every mistake with its line.
    """
    if not path.is_file():
        raise RecipeError(f"There is no recipe {path}. `sapwood init {path}` writes one to start from.")
    document = _parse(path.read_text(encoding="utf-8"), path)
    for override in overrides:
        _override(document, override)
    return _validate(document, path)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every default written out. `load_recipe` reads it back to an equal recipe."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 110
    yaml.dump(recipe.model_dump(mode="json"), stream)
    return stream.getvalue()


def differences(before: Recipe, after: Recipe) -> list[str]:
    """Where two recipes differ in what decides the training: `path: old -> new`. Mutable fields are left out."""
    old, new = (_flatten(_fixed(recipe)) for recipe in (before, after))
    return [
        f"{path}: {old.get(path, 'absent')} -> {new.get(path, 'absent')}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def line_of(path: Path, location: Sequence[str]) -> str:
    """Where a field stands, as `file:line: dotted.path`, for errors found after the recipe was read."""
    document = _parse(path.read_text(encoding="utf-8"), path)
    typed = tuple(int(part) if part.isdigit() else part for part in location)
    return f"{path}:{_line(document, typed) or 1}: {'.'.join(location)}"


def _fixed(recipe: Recipe) -> Any:
    """The dump of a recipe without its mutable fields."""
    dump = recipe.model_dump(mode="json")
    _prune(recipe, dump)
    return dump


def _prune(value: Any, dump: Any) -> None:
    """Removes from the dump of `value` what is marked as mutable in any model below it."""
    if isinstance(value, Weighting):
        return  # it is written in words of its own
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if field.json_schema_extra == MUTABLE:
                del dump[name]
            else:
                _prune(getattr(value, name), dump[name])
    elif isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            _prune(value[key], dump[key])


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict | list) or not value:
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        key: leaf
        for name, part in items
        for key, leaf in _flatten(part, f"{path}.{name}" if path else str(name)).items()
    }


def _parse(text: str, path: Path) -> CommentedMap:
    try:
        document = YAML().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RecipeError(f"{path}:{line}: this is not YAML: {error.problem or error.context}") from None
    if not isinstance(document, CommentedMap):
        raise RecipeError(f"{path}:1: expected fields such as 'name:' and 'model:', found {_show(document)}")
    return document


def _override(document: CommentedMap, override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise RecipeError(f"command line: '{override}' is not of the form path=value, such as seed=1")
    *parents, last = dotted.split(".")
    place: Any = document
    for part in parents:
        if isinstance(place, CommentedSeq):
            place = place[_item(place, part, dotted)]
        elif isinstance(place, CommentedMap):
            if not isinstance(place.get(part), CommentedMap | CommentedSeq):
                place[part] = CommentedMap()
            place = place[part]
    value = YAML().load(text) if text else None
    if isinstance(place, CommentedSeq):
        place[_item(place, last, dotted)] = value
    else:
        place[last] = value
        (place.lc.data or {}).pop(last, None)


def _item(sequence: CommentedSeq, part: str, dotted: str) -> int:
    names = [str(item.get("name", number)) for number, item in enumerate(sequence) if isinstance(item, Mapping)]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(sequence):
        return int(part)
    raise RecipeError(f"command line: {dotted}: there is no '{part}'. {closest(part, names)}")


def _validate(document: CommentedMap, path: Path) -> Recipe:
    try:
        recipe = Recipe.model_validate(_plain(document))
    except ValidationError as error:
        found = [_explain(dict(item), document) for item in error.errors()]
        raise RecipeError(_report(path, document, found)) from None
    if conflicts := list(problems(recipe)):
        raise RecipeError(_report(path, document, conflicts))
    return _located(recipe, path.parent)


def _located(recipe: Recipe, here: Path) -> Recipe:
    """The same with file names that do not depend on where they are read."""
    sources = {
        name: source.model_copy(
            update={
                "files": [_absolute(file, here) for file in source.files],
                "topics": source.topics and _located_taxonomy(source.topics, here),
            }
        )
        for name, source in recipe.sources.items()
    }
    return recipe.model_copy(
        update={
            "sources": sources,
            "corpus": _located_corpus(recipe.corpus, here),
            "model": _located_model(recipe.model, here),
        }
    )


def _located_corpus(corpus: Corpus, here: Path) -> Corpus:
    topics, gate, perplexity = corpus.topics, corpus.decontamination, corpus.perplexity
    labels = {_located_taxonomy(name, here): _absolute(file, here) for name, file in topics.labels.items()}
    encoder = topics.encoder and _located_model(topics.encoder, here)
    return corpus.model_copy(
        update={
            "topics": topics.model_copy(update={"labels": labels, "encoder": encoder}),
            "decontamination": gate
            and gate.model_copy(update={"benchmarks": [_absolute(file, here) for file in gate.benchmarks]}),
            "perplexity": perplexity
            and perplexity.model_copy(update={"model": perplexity.model and _located_model(perplexity.model, here)}),
        }
    )


def _located_taxonomy(taxonomy: str, here: Path) -> str:
    """A taxonomy is a file, or the name of one that comes with Sapwood."""
    return _absolute(taxonomy, here) if taxonomy.endswith((".yaml", ".yml")) else taxonomy


def _located_model(model: str, here: Path) -> str:
    return _absolute(model, here) if model.startswith((".", "~")) else model


def _absolute(file: str, directory: Path) -> str:
    return file if "://" in file else str((directory / Path(file).expanduser()).absolute())


def _explain(error: dict[str, Any], document: CommentedMap) -> tuple[Location, str]:
    """Turns one of pydantic's errors into a location in the document and a sentence."""
    location: Location = tuple(part for part in error["loc"] if part not in (SHARES_TAG, WEIGHTING_TAG))
    if location and location[-1] == "[key]":
        location = location[:-1]
    allowed = _fields(Recipe, location[:-1])
    kind, found = error["type"], error["input"]
    if kind == "extra_forbidden":
        return location, f"there is no field '{location[-1]}'. {closest(str(location[-1]), allowed)}"
    if kind == "missing":
        return location[:-1], f"the field '{location[-1]}' is missing"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    while location and not _exists(document, location):
        location = location[:-1]
    if isinstance(found, dict) and kind == "value_error":
        return location, message
    return location, f"found {_show(found)}: {message}"


def _fields(annotation: Any, location: Location) -> list[str]:
    """The names of the fields that the model at `location` below `annotation` has; none where it is no model."""
    for part in location:
        annotation = _step(annotation, part)
    model = _model(annotation)
    return list(model.model_fields) if model else []


def _step(annotation: Any, part: str | int) -> Any:
    if model := _model(annotation):
        field = model.model_fields.get(str(part))
        return field.annotation if field else None
    for candidate in _unwrap(annotation):
        if get_origin(candidate) in (dict, list):
            return get_args(candidate)[-1]
    return None


def _model(annotation: Any) -> type[BaseModel] | None:
    for candidate in _unwrap(annotation):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _unwrap(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        return _unwrap(annotation.__origin__)
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return [candidate for part in get_args(annotation) for candidate in _unwrap(part)]
    return [annotation]


def _exists(document: Any, location: Location) -> bool:
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _report(path: Path, document: CommentedMap, found: Sequence[tuple[Location, str]]) -> str:
    lines = []
    for location, message in found:
        line = _line(document, location)
        where = f"{path}:{line}" if line else "command line"
        lines.append(f"{where}: {'.'.join(map(str, location))}: {message}".replace(": : ", ": "))
    return "\n".join(lines)


def _line(document: Any, location: Location) -> int | None:
    """The line of a field, or of the nearest field around it; None for what the command line added."""
    line = 1
    for part in location:
        if not isinstance(document, CommentedMap | CommentedSeq):
            return line
        position = (document.lc.data or {}).get(part)
        if position is None:
            return None if part in document else line
        line = position[0] + 1
        document = document[part]
    return line


def _plain(value: Any) -> Any:
    """ruamel's values, which remember their lines and formats, as plain ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
