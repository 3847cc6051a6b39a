"""Which stages a job has, in order: what costs nothing first."""

from __future__ import annotations

from pathlib import Path

from sapwood.corpus.contamination import load_items
from sapwood.recipe import Synthesis
from sapwood.synthesis.alone import Alone
from sapwood.synthesis.code import RunTests
from sapwood.synthesis.stage import Stage
from sapwood.synthesis.verify.across import AcrossStage
from sapwood.synthesis.verify.choices import ChoicesStage
from sapwood.synthesis.verify.contamination import ContaminationStage
from sapwood.synthesis.verify.copies import CopiesStage
from sapwood.synthesis.verify.embedding import Embed
from sapwood.synthesis.verify.facts import FactsStage
from sapwood.synthesis.verify.pass_rate import PassRateStage
from sapwood.synthesis.verify.votes import VotesStage


def build_stages(job: Synthesis, own: Path | None, embed: Embed) -> list[Stage]:
    """The stages of a job after the form; `own` is the directory of its own prompts, and `embed`
    asks servers of embeddings.

    Reads the benchmarks. Raises SapwoodError where there are none.
    """
    verify = job.verify
    stages: list[Stage] = [Alone()]
    if verify.contamination is not None:
        stages.append(ContaminationStage(verify.contamination, job.corpus.normalise))
    if verify.copies is not None:
        stages.append(CopiesStage(verify.copies, embed))
    if verify.across is not None and verify.contamination is not None:
        benchmarks = load_items(verify.contamination.benchmarks, job.corpus.normalise)
        stages.append(AcrossStage(verify.across, benchmarks, embed, own))
    if verify.code is not None:
        stages.append(RunTests(verify.code))
    if verify.choices is not None:
        stages.append(ChoicesStage(verify.choices, job.server, own))
    if verify.votes is not None:
        stages.append(VotesStage(verify.votes, job.server, own))
    if verify.facts is not None:
        stages.append(FactsStage(verify.facts, own))
    if verify.pass_rate is not None:
        stages.append(PassRateStage(verify.pass_rate, own))
    return stages
