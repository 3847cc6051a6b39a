"""Which stages a job has, in order: what costs nothing first."""

from __future__ import annotations

from pathlib import Path

from sapwood.recipe import Synthesis
from sapwood.synthesis.alone import Alone
from sapwood.synthesis.code import Code
from sapwood.synthesis.stage import Stage
from sapwood.synthesis.verify.across import Across
from sapwood.synthesis.verify.choices import Choices
from sapwood.synthesis.verify.contamination import Contamination
from sapwood.synthesis.verify.copies import Copies
from sapwood.synthesis.verify.facts import Follows
from sapwood.synthesis.verify.pass_rate import PassRate
from sapwood.synthesis.verify.votes import Votes


def build_stages(job: Synthesis, prompts: Path | None) -> list[Stage]:
    """The stages of a job after the form; `prompts` is the directory of its own prompts. Reads the benchmarks."""
