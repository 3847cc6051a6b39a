"""A YAML document in, a checked model out: dotted overrides, every mistake at once, each with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from sapwood.errors import SapwoodError, closest
from sapwood.recipe.fields import NAME, Strict
from sapwood.recipe.mixture import SHARES_TAG, WEIGHTING_TAG

Location = tuple[str | int, ...]
Problem = tuple[Location, str]
"""Where something is wrong, and what to write instead."""
Model = TypeVar("Model", bound=BaseModel)


class RecipeError(SapwoodError):
    """One or more mistakes in a recipe, each with its line."""


def read_document(
    path: Path, overrides: Sequence[str], model: type[Model], problems: Callable[[Model], Iterable[Problem]]
) -> Model:
    """Reads the YAML file as the model; `problems` says what no single field can tell.

    `overrides` are `dotted.path=value` with the value in YAML; an item of a list is named by its number or its `name`.
    Raises RecipeError, which lists every mistake with its line.
    """
    document = _parse(read_text(path), path)
    for override in overrides:
        _override(document, override)
    try:
        read = model.model_validate(_plain(document))
    except ValidationError as error:
        found = [_explain(dict(item), document, model) for item in error.errors()]
        raise RecipeError(_report(path, document, found)) from None
    if conflicts := list(problems(read)):
        raise RecipeError(_report(path, document, conflicts))
    return read


def line_of(path: Path | None, location: Sequence[str]) -> str:
    """Where a field stands, as `file:line: dotted.path`, for errors found after the document was read.

    Of a document that was read from no file, only its path is known.
    """
    if path is None:
        return ".".join(location)
    document = _parse(read_text(path), path)
    typed = tuple(int(part) if part.isdigit() else part for part in location)
    return f"{path}:{_line(document, typed) or 1}: {'.'.join(location)}"


def read_text(path: Path) -> str:
    """The text of a file that a person wrote, without a byte order mark. Raises RecipeError where it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{path}:{line}: this is not UTF-8. Save the file in that encoding") from None


def parse_yaml(text: str, name: str, yaml: YAML) -> Any:
    """What is in a YAML document. Raises RecipeError, with the line, where it is none; `name` is what it is called."""
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RecipeError(f"{name}:{line}: this is not YAML: {error.problem or error.context}") from None
    except (YAMLError, ValueError, OverflowError) as error:  # signs that may not stand in YAML; dates that are none
        raise RecipeError(f"{name}: this is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise RecipeError(f"{name}: this is nested too deeply") from None


def _parse(text: str, path: Path) -> CommentedMap:
    document = parse_yaml(text, str(path), YAML())
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
    value = parse_yaml(text, f"command line: {dotted}", YAML()) if text else None
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


def _explain(error: dict[str, Any], document: CommentedMap, model: type[BaseModel]) -> Problem:
    """Turns one of pydantic's errors into a location in the document and a sentence."""
    location: Location = tuple(part for part in error["loc"] if part not in (SHARES_TAG, WEIGHTING_TAG))
    if location and location[-1] == "[key]":
        location = location[:-1]
    kind, found = error["type"], error["input"]
    if kind == "extra_forbidden":
        return location, f"there is no field '{location[-1]}'. {_instead(model, location)}"
    if kind == "missing":
        return location[:-1], f"the field '{location[-1]}' is missing"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    while location and not _exists(document, location):
        location = location[:-1]
    if isinstance(found, dict) and kind == "value_error":
        return location, message
    if kind in ("model_type", "dict_type"):  # pydantic names a class of ours
        message = f"expected {_fields(model, location)}"
    elif kind == "string_type" and not isinstance(found, dict | list):
        message = f"expected a text. Put it in quotes, '{found}', if one is meant"
    elif kind == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME:
        message = "expected a name of letters from a to z, digits, '.', '_' and '-', a letter or a digit first"
    return location, f"found {_show(found)}: {message}"


def _fields(annotation: Any, location: Location) -> str:
    """What stands at `location` below `annotation`, where that has fields."""
    for part in location:
        annotation = _step(annotation, part)
    names = list(model.model_fields)[:2] if (model := _model(annotation)) else []
    return f"fields such as {' and '.join(repr(f'{name}:') for name in names)}" if names else "names with values"


def _instead(annotation: Any, location: Location) -> str:
    """What to write in place of the unknown field at `location` below `annotation`."""
    for part in location[:-1]:
        annotation = _step(annotation, part)
    model, name = _model(annotation), str(location[-1])
    if model and issubclass(model, Strict) and name in model.renamed:
        return f"It is called '{model.renamed[name]}' now."
    return closest(name, list(model.model_fields) if model else [])


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


def _report(path: Path, document: CommentedMap, found: Sequence[Problem]) -> str:
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
