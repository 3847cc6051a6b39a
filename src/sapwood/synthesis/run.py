"""Attempts in, verified items out: written and checked chunk by chunk.

Whatever a model answered is in the cache, so that work which was stopped, and work that is done again with other
thresholds, asks for nothing twice. A chunk is written down when all its attempts are settled.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sapwood import __version__
from sapwood.files import atomic_file, sealed_line, write_json, write_lines
from sapwood.generation.client import Failure
from sapwood.recipe import Synthesis
from sapwood.runs.manifest import Manifest, begin, finished
from sapwood.synthesis.account import CHECKED, FORM, Account, Record, read_records
from sapwood.synthesis.attempts import Attempt
from sapwood.synthesis.directory import CHUNKS, JobDirectory
from sapwood.synthesis.form import read_item
from sapwood.synthesis.item import Item
from sapwood.synthesis.prompt import FormError, Prompt
from sapwood.synthesis.stage import Ask, Stage, Verdict

UNCHECKED = "no stage could check the answer"
CHUNK = 2000
"""Attempts that are worked on together."""


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do in a job."""

    attempts: Sequence[Attempt]
    prompts: Mapping[tuple[str, str], Prompt]
    """By format and language."""
    stages: Sequence[Stage]
    """After the form, in order."""
    keeps_unchecked: bool = False
    """Whether items are accepted whose answer no stage could check."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a job has come."""

    manifest: Manifest | None
    """The account, where all attempts are settled."""
    failures: Mapping[str, int]
    """Why the others are not, and how many of them."""


def write_items(job: Synthesis, work: Work, planned: Manifest, directory: JobDirectory, ask: Ask) -> Outcome:
    """Writes and verifies the items of a job in `directory`, unless that was done before.

    Attempts to which a server gave no answer are left for the next time; those that it refuses, or that had none in
    several runs while others had theirs, are rejected.
    In the manifest, `counts` has `attempts`, `accepted` and `rejected`, `reasons` counts the rejected by `stage:
    reason`. Raises SapwoodError where a server cannot be used at all, and before anything is asked where there are
    programs to be run and no sandbox.
    """
    done = finished(directory.root, planned, directory.remedy)
    if done is not None:
        return Outcome(done, {})
    if any("tests" in prompt.content.sections for prompt in work.prompts.values()):
        for stage in work.stages:
            stage.require()
    outputs = (directory.accepted, directory.rejected, directory.account)
    begin(directory.root, planned, (CHUNKS, *(path.name for path in outputs)))
    failures: Counter[str] = Counter()
    attempts = iter(work.attempts)
    for number in itertools.count():
        chunk = list(itertools.islice(attempts, CHUNK))
        path = directory.chunk(number)
        if not chunk:
            break
        if path.exists():
            _remember(work.stages, path, directory.remedy)
            continue
        records = verify(write(chunk, work.prompts, job, ask), work.stages, ask)
        if not work.keeps_unchecked:
            records = [_checked(record, work.stages) for record in records]
        found = Counter(record.reason for record in records if isinstance(record, Failure))
        failures += found
        if not failures:  # what comes after an open chunk may be a copy of what is in it
            write_lines(path, [record.to_json() for record in records if isinstance(record, Record)], sealed=True)
    return Outcome(None if failures else _finish(planned, directory), failures)


def write(
    attempts: Sequence[Attempt], prompts: Mapping[tuple[str, str], Prompt], job: Synthesis, ask: Ask
) -> list[Record | Failure]:
    """Has the generator write an item for each attempt, and reads what it wrote."""
    chosen = [prompts[attempt.format, attempt.language] for attempt in attempts]
    requests = [
        prompt.request(attempt.values(), job.sampling, structured=job.structured)
        for prompt, attempt in zip(chosen, attempts, strict=True)
    ]
    records: list[Record | Failure] = []
    for attempt, prompt, found in zip(attempts, chosen, ask(job.server, requests), strict=True):
        if isinstance(found, Failure):
            given_up = Verdict(passed=False, reason=found.final, detail={"reason": found.reason})
            records.append(Record(attempt, "", (0, 0), None, {FORM: given_up}) if found.final else found)
            continue
        try:
            item, verdict = read_item(found, prompt, attempt, job), Verdict(passed=True)
        except FormError as error:
            item, verdict = None, Verdict(passed=False, reason=str(error))
        tokens = (found.prompt_tokens, found.completion_tokens)
        records.append(Record(attempt, found.text, tokens, item, {FORM: verdict}))
    return records


def verify(records: list[Record | Failure], stages: Sequence[Stage], ask: Ask) -> list[Record | Failure]:
    """Passes the items through the stages; each sees what the ones before it left."""
    for stage in stages:
        left: list[tuple[int, Record, Item]] = [
            (number, record, record.item)
            for number, record in enumerate(records)
            if isinstance(record, Record) and record.item is not None and record.rejected is None
        ]
        verdicts = stage.check([item for _, _, item in left], ask)
        for (number, record, _), verdict in zip(left, verdicts, strict=True):
            if isinstance(verdict, Failure) and verdict.final:
                verdict = Verdict(passed=False, reason=verdict.final, detail={"reason": verdict.reason})
            records[number] = verdict if isinstance(verdict, Failure) else record.judged(stage.name, verdict)
    return records


def _checked(record: Record | Failure, stages: Sequence[Stage]) -> Record | Failure:
    """The record; rejected where it is left with an answer that no stage had anything to say of."""
    if isinstance(record, Failure) or record.rejected is not None:
        return record
    checked = any(stage.checks_answers and stage.name in record.verdicts for stage in stages)
    return record if checked else record.judged(CHECKED, Verdict(passed=False, reason=UNCHECKED))


def _remember(stages: Sequence[Stage], path: Path, remedy: str) -> None:
    for stage in stages:
        stage.remember(
            Item.from_json(record)
            for record in read_records(path, remedy)
            if record["verification"].get(stage.name, {}).get("passed")
        )


def _finish(planned: Manifest, directory: JobDirectory) -> Manifest:
    """Puts the chunks together."""
    account = Account()
    with (
        atomic_file(directory.accepted) as accepted,
        atomic_file(directory.rejected) as rejected,
        accepted.open("wb") as kept,
        rejected.open("wb") as dropped,
    ):
        for record in (record for path in directory.chunks() for record in read_records(path, directory.remedy)):
            account.add(record)
            (kept if record["accepted"] else dropped).write(sealed_line(record))
    write_json(directory.account, account.to_json(), sealed=True)
    manifest = replace(planned, counts=account.counts(), reasons=account.reasons(), versions={"sapwood": __version__})
    manifest.write(directory.root, *(path.name for path in (directory.accepted, directory.rejected)))
    return manifest
