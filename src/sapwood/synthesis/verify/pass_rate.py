"""Pass rate: how often a model, such as the surrogate, answers an item rightly; its difficulty for that model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sapwood.generation.client import Failure
from sapwood.recipe.synthesis import PassRate
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict
from sapwood.synthesis.verify.option_permutation import choose, is_choice
from sapwood.synthesis.verify.replies import Asker, of_those
from sapwood.synthesis.verify.self_consistency import is_open, vote
from sapwood.synthesis.verify.tally import Tally


class PassRateStage(Stage):
    """Items of which the pass rate lies between two bounds pass. It has nothing to say where neither votes nor choices
    have."""

    name = "pass_rate"

    def __init__(self, settings: PassRate, own: Path | None = None) -> None:
        """`own` are prompts of one's own."""
        self.settings = settings
        self.asker = Asker(settings.server, settings.sampling, own)

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        samples = self.settings.samples
        answered = of_those(items, is_open, lambda those: vote(those, self.asker, samples, ask))
        chosen = of_those(items, is_choice, lambda those: choose(those, self.asker, samples, ask))
        tallies = [one if one is not None else other for one, other in zip(answered, chosen, strict=True)]
        return [self._judge(tally) if isinstance(tally, Tally) else tally for tally in tallies]

    def _judge(self, tally: Tally) -> Verdict:
        lowest, highest = self.settings.between
        rate = float(tally.share)
        return tally.verdict("too hard" if rate < lowest else "too easy" if rate > highest else "")
