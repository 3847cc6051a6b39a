"""Measuring between rounds: how the live model does, and the changes since the last time and since the base model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from transformers import PreTrainedModel

from sapwood.evaluation.evaluator import HeldOutEvaluator
from sapwood.evaluation.gate import paired_change
from sapwood.evaluation.result import BASE, DomainScore, Evaluation, read_evaluation
from sapwood.mixture.measured import Losses, Measured, improvement
from sapwood.recipe import Recipe
from sapwood.recipe.check import members
from sapwood.statistics.estimate import Estimate, mean


def measure_in_loop(
    evaluator: HeldOutEvaluator,
    model: PreTrainedModel,
    directory: Path,
    *,
    label: str,
    model_fingerprint: str,
    tokens: int,
    last_tokens: int | None,
    write: bool,
    tell: Callable[[bool], bool],
) -> Losses:
    """Measures a model that has been trained on `tokens` tokens, and writes the evaluation into `directory`.

    The changes are against the evaluation after `last_tokens` tokens, and against the base model's; where one is not
    there, or was made with other texts, there is no change. On ranks that do not `write`, nothing is compared. `tell`
    gives what the rank that writes has to say, on every rank: all measure together, or none does.
    """
    before = _evaluations(directory, evaluator) if write else {}
    done = before.get(label)
    if not tell(done is not None and done.model == model_fingerprint):
        done = evaluator.measure(
            model, label=label, model_fingerprint=model_fingerprint, tokens=tokens, with_samples=label == BASE
        )
        if write:
            done.write(directory)
    if not write or done is None:
        return {}
    last = next((found for found in before.values() if found.tokens == last_tokens and found.label != label), None)
    # The base model is no change from itself, whether it was measured just now or by an attempt before.
    return losses(evaluator.recipe, done, last, done if label == BASE else before.get(BASE))


def losses(recipe: Recipe, now: Evaluation, last: Evaluation | None, base: Evaluation | None) -> dict[str, Measured]:
    """What an evaluation says of every domain, source and group, and of its changes since two others.

    A group is the plain mean of its sources.
    """
    found = {name: _measured([name], now, last, base) for name in now.domains}
    for group in recipe.groups:
        sources = members(recipe, group)
        if group not in found and all(source in now.domains for source in sources):
            found[group] = _measured(sources, now, last, base)
    return found


def _measured(names: list[str], now: Evaluation, last: Evaluation | None, base: Evaluation | None) -> Measured:
    level = mean([now.domains[name].bits_per_byte for name in names])
    return Measured(
        bits_per_byte=level.value,
        standard_error=_error(level),
        nats_per_token=sum(math.log(now.domains[name].perplexity) for name in names) / len(names),
        since_last=_change(names, last.domains, now.domains) if last else None,
        since_base=_change(names, base.domains, now.domains) if base else None,
    )


def _change(names: list[str], before: Mapping[str, DomainScore], now: Mapping[str, DomainScore]) -> Estimate | None:
    if any(name not in before for name in names):
        return None
    change = mean([paired_change(before[name], now[name]) for name in names])
    return improvement(change.value, _error(change))


def _error(estimate: Estimate) -> float:
    return math.inf if math.isnan(estimate.standard_error) else estimate.standard_error


def _evaluations(directory: Path, evaluator: HeldOutEvaluator) -> dict[str, Evaluation]:
    """The evaluations there are that can be compared with the evaluator's, by label."""
    found = (read_evaluation(path) for path in sorted(directory.glob("*.json")))
    return {evaluation.label: evaluation for evaluation in found if evaluation.settings == evaluator.settings}
