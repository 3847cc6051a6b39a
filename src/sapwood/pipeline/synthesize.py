"""Questions and answers from pages, or programming problems from problems: written, verified, labelled, calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapwood.errors import SapwoodError
from sapwood.files import read_json, write_json
from sapwood.pipeline.handle import written
from sapwood.recipe import Synthesis
from sapwood.runs.lock import hold

if TYPE_CHECKING:
    from sapwood.generation.asker import Asker
    from sapwood.runs.manifest import Manifest
    from sapwood.synthesis.directory import JobDirectory
    from sapwood.synthesis.estimate import StageEstimate
    from sapwood.synthesis.labelled import Calibration

Overrides = Mapping[str, Any] | Iterable[str]
"""Fields of a job that are set: by dotted path, or as `path=value`."""


@dataclass(frozen=True, slots=True)
class StageYield:
    """What one stage of a job let through."""

    stage: str
    seen: int
    """Items that it looked at."""
    rejected: int
    tokens: int
    """Read and written by models for it."""


@dataclass(frozen=True, slots=True)
class SynthesizedItems:
    """A finished job."""

    file: Path
    """The accepted items, a record of JSON a line."""
    page: Path
    """The report on what became of all."""
    accepted: int
    attempts: int
    stages: tuple[StageYield, ...]
    """In order."""


@dataclass(frozen=True, slots=True)
class SynthesisProgress:
    """How far a job has come."""

    items: SynthesizedItems | None
    """None while requests wait for answers."""
    requests: tuple[Path, ...] = ()
    """OpenAI batch files of what waits."""
    answers: Mapping[str, int] = field(default_factory=dict)
    """What was found in the files of answers that were taken in: how many `answered`, and other reasons."""


@dataclass(frozen=True, slots=True)
class SynthesisEstimate:
    """What a job will take."""

    stages: tuple[StageEstimate, ...]
    """Those that ask a model: requests, tokens, price."""
    measured_on: int | None
    """Attempts of an earlier run of the job by which it is estimated; None where tokens are assumed, and every item is
    taken to reach every stage."""

    @property
    def prices(self) -> dict[str, float]:
        """The sum by currency, of the stages whose server states a price."""
        total: dict[str, float] = {}
        for line in self.stages:
            if line.price is not None and line.server.price is not None:
                total[line.server.price.currency] = total.get(line.server.price.currency, 0.0) + line.price
        return total


@dataclass(frozen=True, slots=True)
class SynthesisCalibration:
    """What labelled items say of the thresholds of a job."""

    stages: Calibration
    """What the labels say of every stage, as `calibration.json` has it."""
    items: SynthesizedItems | None
    """The job, with its page written anew, where it is finished."""


def synthesize(
    job: str | Path, overrides: Overrides = (), *, answers: Sequence[str | Path] = (), batch: bool = False
) -> SynthesisProgress:
    """Writes and verifies the items of a job, a YAML file. Called again, it continues; cached answers are reused.

    `answers` are files of a batch service that are taken in first. With `batch` no server is asked: what waits for an
    answer is written as batch files. What would stop it, such as a missing file or key, is listed first, all at once.

    Raises SapwoodError for a wrong job, where requests got no answer (call again), and where another command writes
    into the job's directory.
    """
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.generation.asker import Asker
    from sapwood.synthesis.job import again, find_work
    from sapwood.synthesis.run import write_items

    loaded, directory = _checked(Path(job), overrides, asks=not batch)
    with hold(directory.root), full_disk_explained(directory.root):
        asker = Asker(
            directory.root, lambda server: not batch and server.model not in loaded.fleet, servers=loaded.servers
        )
        work, planned = find_work(loaded, directory, asker.embed)
        taken = _take_answers(asker, [Path(file) for file in answers])
        outcome = write_items(loaded, work, planned, directory, asker)
        while asker.awaits and not batch:
            from sapwood.synthesis.fleet import answer_awaited  # takes a second to import

            answer_awaited(loaded, asker, directory)
            outcome = write_items(loaded, again(loaded, work, asker.embed), planned, directory, asker)
        if outcome.manifest is not None:
            return SynthesisProgress(_finished(loaded, directory, outcome.manifest), answers=taken)
        waiting = asker.write_awaited(directory.requests) if batch else []
        if not waiting:
            reasons = "\n".join(f"  {count:,}: {reason}" for reason, count in outcome.failures.items())
            raise SapwoodError(f"Some requests got no answer; the same command asks for them again.\n{reasons}")
        return SynthesisProgress(None, tuple(waiting), taken)


def estimate_synthesis(job: str | Path, overrides: Overrides = ()) -> SynthesisEstimate:
    """Chooses the seeds of a job, and states the requests, tokens and price of every stage. No model is asked."""
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.generation.asker import Asker
    from sapwood.synthesis.estimate import estimate
    from sapwood.synthesis.job import find_work

    loaded, directory = _checked(Path(job), overrides, asks=False)
    with hold(directory.root), full_disk_explained(directory.root):
        asker = Asker(directory.root, lambda server: server.model not in loaded.fleet, servers=loaded.servers)
        work, _ = find_work(loaded, directory, asker.embed)
        account = read_json(directory.account, directory.remedy) if directory.account.exists() else None
        measured_on = None if account is None else int(account["attempts"])
        return SynthesisEstimate(tuple(estimate(loaded, work, account)), measured_on)


def sample_items(job: str | Path, file: str | Path, *, count: int = 200, overrides: Overrides = ()) -> int:
    """Writes items of a finished job to label, JSONL: accepted and rejected ones in turn. Returns how many.

    Set `correct` in each line to true or false. Raises SapwoodError where `file` exists, or the job is not finished.
    """
    from sapwood.synthesis.job import open_job
    from sapwood.synthesis.labelled import write_sample

    _, directory = open_job(Path(job), written(overrides))
    target = Path(file)
    if target.exists():
        raise SapwoodError(f"{target} is there already; labels in it are not overwritten. Name another file.")
    return write_sample(directory, target, count)


def calibrate_synthesis(
    job: str | Path, file: str | Path, *, target: float = 0.95, overrides: Overrides = ()
) -> SynthesisCalibration:
    """Measures on labelled items what each threshold lets through, and which one is strict enough.

    `file` holds records with `correct`; `target` is the precision that the lower end of the 95% interval must reach.
    Raises SapwoodError where no line is labelled, or a server gives no answer.
    """
    from sapwood.generation.asker import Asker
    from sapwood.runs.manifest import read_manifest
    from sapwood.synthesis.job import build_stages, open_job
    from sapwood.synthesis.labelled import calibrate_stages, read_labelled

    loaded, directory = open_job(Path(job), written(overrides))
    own = None if loaded.prompts is None else Path(loaded.prompts)
    asker = Asker(directory.root)
    with hold(directory.root):
        found = calibrate_stages(read_labelled(Path(file)), build_stages(loaded, own, asker.embed), asker, target)
        write_json(directory.calibration, found.to_json(), sealed=True)
        manifest = read_manifest(directory.root, directory.remedy)
        return SynthesisCalibration(found, None if manifest is None else _finished(loaded, directory, manifest))


def _checked(job: Path, overrides: Overrides, *, asks: bool) -> tuple[Synthesis, JobDirectory]:
    """The job and its directory. Raises SapwoodError with all that will stop it."""
    from sapwood.pipeline.checks import refuse
    from sapwood.pipeline.job import check_job
    from sapwood.synthesis.job import open_job

    loaded, directory = open_job(job, written(overrides))
    refuse(list(check_job(loaded, asks=asks)), job)
    return loaded, directory


def _take_answers(asker: Asker, files: Sequence[Path]) -> dict[str, int]:
    if not files:
        return {}
    found = dict(asker.read_batch(list(files)))
    if not found.get("answered"):
        listed = ", ".join(f"{count:,} {reason}" for reason, count in found.items()) or "nothing"
        raise SapwoodError(f"No answers are in {files[0]} (found: {listed}). It must be what a batch service wrote.")
    return found


def _finished(job: Synthesis, directory: JobDirectory, manifest: Manifest) -> SynthesizedItems:
    """What became of the items of a finished job. Writes the page about it."""
    from sapwood.report.synthesis import write_synthesis_report

    account = read_json(directory.account, directory.remedy)
    return SynthesizedItems(
        file=directory.accepted,
        page=write_synthesis_report(job, directory),
        accepted=manifest.counts["accepted"],
        attempts=manifest.counts["attempts"],
        stages=tuple(
            StageYield(stage, counts["seen"], counts["rejected"], counts["prompt_tokens"] + counts["completion_tokens"])
            for stage, counts in account["stages"].items()
        ),
    )
