"""What can be known of a recipe's sources before they are prepared: files, their first rows, jobs, generators."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from sapwood.corpus.formats import Fields, Rejected, read_rows
from sapwood.corpus.ingest import REMEDIES
from sapwood.corpus.inputs import InputFile, NoFileError, list_files, open_file
from sapwood.errors import SapwoodError
from sapwood.pipeline.checks import Problem
from sapwood.recipe import load_synthesis
from sapwood.recipe.data import Source
from sapwood.runs.manifest import read_manifest
from sapwood.synthesis.programs import make_items, program_problems

ROWS = 20
"""Rows from the beginning of a file that are looked at."""
FILES = 64
"""Files of a source that are looked into, evenly among all. All are looked for."""
SHOWN = 3
"""Files of a source that are named one by one."""


def check_sources(sources: Mapping[str, Source]) -> Iterator[Problem]:
    """What keeps sources from being read."""
    for name, source in sources.items():
        if source.files:
            yield from _files(name, source)
        elif source.synthesis:
            yield from _job(name, source.synthesis)
        elif source.programs:
            yield from _programs(name, source.programs)
        else:
            message = "names no files, only the size to plan with. Give it `files:`"
            yield Problem(("sources", name), message, waits=True)


def _files(name: str, source: Source) -> Iterator[Problem]:
    place = ("sources", name, "files")
    found: list[InputFile] = []
    for pattern in source.files:
        try:
            found += list_files(name, [pattern])
        except NoFileError as error:
            # `tokens` says how much there will be, so that it can be planned with before it is here.
            yield Problem(place, _without_name(error, name), waits=source.tokens is not None)
        except SapwoodError as error:
            yield Problem(place, _without_name(error, name))
    if found:
        yield from _contents(place, source, found)


def _contents(place: tuple[str, ...], source: Source, files: Sequence[InputFile]) -> Iterator[Problem]:
    """What is wrong with the first rows of the files. A file that gives none is put into quarantine, with a note, as
    long as others give most of the source."""
    looked = files[:: -(-len(files) // FILES)]
    fields = Fields(source.text, source.url)
    wrong: dict[str, str] = {}
    rows = lost = 0
    for file in looked:
        try:
            with open_file(file) as stream:
                first = [row.text for row in itertools.islice(read_rows(stream, file.name, file.size, fields, 0), ROWS)]
        except (ImportError, ValueError, OSError) as error:
            yield Problem(place, f"cannot open {file.name}: {error or type(error).__name__}")
            return
        rejected = [text for text in first if isinstance(text, Rejected)]
        rows += len(first)
        if first and len(rejected) == len(first):
            found = rejected[0]
            remedy = f" {REMEDIES[found.reason]}" if found.reason in REMEDIES else ""
            wrong[file.url] = f"no row of {file.name} can be used: {found.reason}: {found.shown.rstrip('.')}.{remedy}"
            lost += file.size
    if not rows:
        which = f"{files[0].name} has no row" if len(files) == 1 else f"none of its {len(files):,} files has a row"
        yield Problem(place, which)
    noted = len(wrong) < len(looked) and lost <= source.max_dropped * sum(file.size for file in looked)
    for message in itertools.islice(wrong.values(), SHOWN):
        yield Problem(place, message, noted=noted)
    if len(wrong) > SHOWN:
        yield Problem(place, f"the same of {len(wrong) - SHOWN:,} more of its files", noted=noted)


def _programs(name: str, programs: Mapping[str, int]) -> Iterator[Problem]:
    place = ("sources", name, "programs")
    if find_spec("reasoning_gym") is None:
        message = "needs the package reasoning-gym, which is not installed: pip install 'sapwood[programs]'"
        yield Problem(place, message)
        return
    wrong = program_problems(programs)
    for generator, message in wrong.items():
        yield Problem((*place, generator), message)
    if not wrong:
        try:
            for _ in make_items(name, dict.fromkeys(programs, 1), seed=0):  # one of each shows what cannot be used
                pass
        except SapwoodError as error:
            yield Problem(place, str(error))


def _job(name: str, job: str) -> Iterator[Problem]:
    place = ("sources", name, "synthesis")
    try:
        output = load_synthesis(Path(job)).output
    except SapwoodError as error:
        yield Problem(place, str(error))
        return
    if read_manifest(Path(output or "")) is None:
        yield Problem(place, f"the job is not finished: `sapwood synthesize {job}` does it", waits=True)


def _without_name(error: SapwoodError, name: str) -> str:
    return str(error).removeprefix(f"Source '{name}': ")
