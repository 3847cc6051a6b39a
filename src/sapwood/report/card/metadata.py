"""The card's front matter: what the hub reads in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from sapwood.evaluation.comparison import ComparedTask
from sapwood.recipe.suite import load_suite
from sapwood.report.card.facts import CardFacts
from sapwood.statistics.change import Change

_METRICS = {"match": "exact_match", "pass": "pass@1", "bits": "bits_per_byte"}
"""What the hub calls measures; all others are ways to choose an option, and `accuracy`."""
_DECIMALS = 4


def front_matter(facts: CardFacts, changes: Sequence[Change]) -> str:
    """The metadata in YAML, as huggingface_hub writes them.

    Of the relations to a base model that the hub knows (adapter, finetune, merge, quantized) training goes by
    `finetune`. Results are those of the adapted model alone, none of them marked as verified.
    """
    results = [*map(_held_out, changes), *_benchmarks(facts)]
    licence = facts.licence
    known: dict[str, Any] = {
        "base_model": facts.base_model,
        "base_model_relation": "finetune" if facts.base_model else None,
        "language": facts.languages or None,
        "license": licence and licence.identifier,
        "license_name": licence and licence.name,
        "license_link": licence and licence.link,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["sapwood", "continual-pretraining"],
        "datasets": list(facts.datasets) or None,
        "model_name": facts.run.recipe.name,
        "eval_results": results or None,
    }
    if not results:
        del known["model_name"]
    return ModelCardData(**known).to_yaml()


def _held_out(change: Change) -> EvalResult:
    return EvalResult(
        task_type="text-generation",
        dataset_type="held-out",
        dataset_name=f"held-out documents of {change.name}",
        dataset_config=change.name,
        metric_type="bits_per_byte",
        metric_name="bits per byte",
        metric_value=round(change.after, _DECIMALS),
    )


def _benchmarks(facts: CardFacts) -> Iterator[EvalResult]:
    suites = {suite.name: suite for suite in map(load_suite, facts.run.recipe.evaluation.suites)}
    for comparison in facts.comparisons:
        for name, task in comparison.tasks.items():
            yield _task(task, comparison.suite, suites[comparison.suite].tasks[name].shots.count)


def _task(task: ComparedTask, suite: str, shots: int) -> EvalResult:
    return EvalResult(
        task_type="text-generation",
        dataset_type=task.task,
        dataset_name=task.task,
        dataset_config=suite,
        dataset_args={"num_few_shot": shots},
        metric_type=_METRICS.get(task.metric, "accuracy"),
        metric_name=task.metric,
        metric_value=round(task.after[0].value, _DECIMALS),
    )
