"""Which stages a job has, in order: what costs nothing first."""

from __future__ import annotations

from pathlib import Path

from sapwood.corpus.contamination import load_items
from sapwood.recipe import Synthesis
from sapwood.synthesis.code import RunTests
from sapwood.synthesis.self_containedness import SelfContainednessStage
from sapwood.synthesis.stage import Stage
from sapwood.synthesis.verify.contamination import ContaminationStage
from sapwood.synthesis.verify.cross_lingual import CrossLingualStage
from sapwood.synthesis.verify.embedding import Embed
from sapwood.synthesis.verify.entailment import EntailmentStage
from sapwood.synthesis.verify.near_duplicates import NearDuplicatesStage
from sapwood.synthesis.verify.option_permutation import OptionPermutationStage
from sapwood.synthesis.verify.pass_rate import PassRateStage
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
