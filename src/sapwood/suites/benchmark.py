"""The files of a benchmark: where they are, and what is in them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from sapwood.corpus.formats.content import ARCHIVES, read_blocks
from sapwood.corpus.formats.row import BrokenFileError
from sapwood.errors import SapwoodError

ENDINGS = ("", *ARCHIVES)
"""A file may be compressed where the task names it plainly."""

Row = dict[str, Any]


def find_files(task: str, patterns: Sequence[str], directory: Path | None, package: str | None = None) -> list[Path]:
    """The files that the patterns stand for below `directory`, plain or compressed, in the order of the patterns.

    Where none of them is there, the file in the `package` is taken.
    Raises SapwoodError where a pattern matches nothing.
    """
    found = [_matches(pattern, directory) for pattern in patterns]
    if package is not None and not any(found):
        return [_file_in_package(task, package, patterns)]
    missing = [pattern for pattern, files in zip(patterns, found, strict=True) if not files]
    if missing:
        where = "no directory of items was named" if directory is None else f"it is not in {directory.absolute()}"
        raise SapwoodError(
            f"Task '{task}' needs {', '.join(missing)} (or with {', '.join(ARCHIVES)} at its end), but {where}. "
            "docs/suites.md says where benchmarks come from."
        )
    return [file for files in found for file in files]


def read_rows(task: str, file: Path) -> Iterator[Row]:
    """The items in a file: an object of JSON a line, or one array of them. `file` and `row` join the fields of each.

    Raises SapwoodError where there is anything else.
    """
    with file.open("rb") as stream:
        try:
            content = b"".join(block for block, _ in read_blocks(stream, file.name))
        except BrokenFileError as error:
            raise SapwoodError(f"Task '{task}': {file} {error}") from None
    name = file.name.partition(".")[0]
    if content.lstrip()[:1] == b"[":
        rows = _parse(content, task, file, 0)
    else:
        lines = enumerate(content.split(b"\n"))
        rows = (_parse(line, task, file, number) for number, line in lines if line.strip())
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise SapwoodError(f"Task '{task}': item {number} of {file} is no JSON object.")
        yield {**row, "file": name, "row": number}


def _matches(pattern: str, directory: Path | None) -> list[Path]:
    if Path(pattern).is_absolute():
        return [Path(pattern)]
    if directory is None:
        return []
    names = {file for ending in ENDINGS for file in directory.glob(f"{pattern}{ending}") if file.is_file()}
    return sorted(names)


def _file_in_package(task: str, package: str, patterns: Sequence[str]) -> Path:
    module, _, name = package.partition("/")
    # Finding a module does not run it, as long as it is not inside another.
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (file := Path(folder) / name).is_file():
            return file
    distribution = module.replace("_", "-")
    raise SapwoodError(
        f"Task '{task}' needs {' or '.join(patterns)} in the directory of items, or else the package {distribution}: "
        f"pip install {distribution}"
    )


def _parse(content: bytes, task: str, file: Path, line: int) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SapwoodError(f"Task '{task}': {file}, line {line + 1}, is no JSON: {error}") from None
