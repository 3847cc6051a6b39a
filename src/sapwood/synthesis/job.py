"""A synthesis job on the disk, and what there is to do in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import xxhash

from sapwood.corpus.contamination import benchmark_fingerprint, load_items
from sapwood.corpus.prepare import clean_documents, verdicts
from sapwood.errors import SapwoodError
from sapwood.files import seal_text, write_atomic, write_json
from sapwood.recipe import Synthesis, dump_recipe, load_synthesis
from sapwood.recipe.load import fixed
from sapwood.runs.manifest import Manifest
from sapwood.synthesis.attempts import Attempt, plan_attempts
from sapwood.synthesis.code import RunTests
from sapwood.synthesis.directory import JobDirectory
from sapwood.synthesis.problems import problem_attempts
from sapwood.synthesis.prompt import Prompt, load_prompt, prompts_fingerprint
from sapwood.synthesis.references import SelfContainednessStage
from sapwood.synthesis.run import Work
from sapwood.synthesis.seeds import choose_seeds
from sapwood.synthesis.stage import Stage
from sapwood.synthesis.verify.cross_lingual import ContaminationStage, CrossLingualStage
from sapwood.synthesis.verify.entailment import EntailmentStage
from sapwood.synthesis.verify.near_duplicates import Embed, NearDuplicatesStage
from sapwood.synthesis.verify.option_permutation import OptionPermutationStage, PassRateStage
from sapwood.synthesis.verify.self_consistency import SelfConsistencyStage


def build_stages(job: Synthesis, own: Path | None, embed: Embed) -> list[Stage]:
    """The stages of a job after the form; `own` is the directory of its own prompts, and `embed`
    asks servers of embeddings.

    Reads the benchmarks. Raises SapwoodError where there are none.
    """
    verify = job.verify
    stages: list[Stage] = [SelfContainednessStage()]
    if verify.contamination is not None:
        stages.append(ContaminationStage(verify.contamination, job.corpus.normalise))
    if verify.near_duplicates is not None:
        stages.append(NearDuplicatesStage(verify.near_duplicates, embed))
    if verify.cross_lingual is not None and verify.contamination is not None:
        benchmarks = load_items(verify.contamination.benchmarks, job.corpus.normalise)
        stages.append(CrossLingualStage(verify.cross_lingual, benchmarks, embed, own))
    if verify.code is not None:
        stages.append(RunTests(verify.code))
    if verify.option_permutation is not None:
        stages.append(OptionPermutationStage(verify.option_permutation, job.server, own))
    if verify.self_consistency is not None:
        stages.append(SelfConsistencyStage(verify.self_consistency, job.server, own))
    if verify.entailment is not None:
        stages.append(EntailmentStage(verify.entailment, own))
    if verify.pass_rate is not None:
        stages.append(PassRateStage(verify.pass_rate, own))
    return stages


def open_job(path: Path, overrides: Sequence[str] = ()) -> tuple[Synthesis, JobDirectory]:
    """The job in a file, and its directory. Raises RecipeError with every mistake and its line."""
    job = load_synthesis(path, overrides)
    return job, JobDirectory(Path(job.output or ""))


def find_work(job: Synthesis, directory: JobDirectory, embed: Embed) -> tuple[Work, Manifest]:
    """Prepares the pages, chooses the seeds, and says what the manifest of the whole will be.

    `embed` is called later, where the job names servers of embeddings.

    Raises SapwoodError where there are no seeds, or a prompt is missing.
    """
    write_atomic(directory.job, seal_text(dump_recipe(job)))
    own = None if job.prompts is None else Path(job.prompts)
    attempts = _attempts(job, directory)
    kinds = sorted({(attempt.format, attempt.language) for attempt in attempts})
    prompts: dict[tuple[str, str], Prompt] = {kind: load_prompt(*kind, own) for kind in kinds}
    gate = job.verify.contamination
    planned = Manifest(
        step="synthesis",
        inputs={
            "attempts": _fingerprint(attempts),
            "prompts": prompts_fingerprint(own),
            "benchmarks": gate and benchmark_fingerprint(gate.benchmarks),
        },
        settings=_settings(job),
    )
    return again(job, Work(attempts, prompts, (), keeps_unchecked=job.verify.unchecked == "keep"), embed), planned


def again(job: Synthesis, work: Work, embed: Embed) -> Work:
    """The same work with stages that remember nothing yet."""
    return replace(work, stages=build_stages(job, None if job.prompts is None else Path(job.prompts), embed))


def _attempts(job: Synthesis, directory: JobDirectory) -> list[Attempt]:
    if job.problems is not None:
        return problem_attempts(job)
    stores = {name: directory.pages(name) for name in job.sources}
    clean_documents(job, stores, {taxonomy: Path(where) for taxonomy, where in job.classifiers.items()})
    choice = choose_seeds(job, stores, {name: verdicts(job, name) for name in stores})
    write_json(directory.seeds, choice.counts.to_json(), sealed=True)
    if not choice.seeds:
        raise SapwoodError(
            f"No page gives a seed: of {choice.counts.pages:,}, {choice.counts.filtered:,} were filtered, "
            f"{choice.counts.too_short:,} are shorter than a snippet, {choice.counts.without_discipline:,} are of no "
            "discipline. Look at `disciplines` and `snippet` in the job."
        )
    return plan_attempts(choice.seeds, job)


def _settings(job: Synthesis) -> dict[str, Any]:
    """What decides the items beside what is read; where pages are worked on does not."""
    return {name: value for name, value in fixed(job).items() if name not in ("name", "engine")}


def _fingerprint(attempts: Sequence[Attempt]) -> str:
    digest = xxhash.xxh3_128()
    for attempt in attempts:
        digest.update(orjson.dumps(attempt, option=orjson.OPT_SORT_KEYS))
    return digest.hexdigest()
