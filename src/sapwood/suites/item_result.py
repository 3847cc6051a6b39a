"""What a model made of every item of a task, kept so that all statistics can be redone without the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sapwood.files import read_json, read_lines, reading, write_json, write_lines
from sapwood.runs.manifest import remake

ITEMS = "items.jsonl"
SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """What a model made of one item."""

    id: str
    subject: str | None = None
    cluster: str | None = None
    """What ties items together; an item without one stands for itself."""
    prompt: str
    """The hash of everything that was asked: two models can be compared where it is the same."""
    gold: str
    """The right answer; of a choice, its letter."""
    prediction: str = ""
    """The answer that counts; of a choice, its letter."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """By metric, from 0 to 1."""
    bits: float | None = None
    """-log2 p of the right answer (of a choice: of its text; else of its solution) after the question."""
    bytes: int | None = None
    """Its length in UTF-8, with what stands between it and the question."""
    options: tuple[str, ...] = ()
    loglikelihoods: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """ln p by form: of a choice one for each option."""
    text: str | None = None
    """What was generated."""
    remark: str = ""
    """How a program ended; why a text has no answer."""
    cut: bool = False
    """Whether the beginning of a prompt was left out, because the model cannot read so much."""

    def score(self, metric: str) -> float | None:
        """From 0 to 1; None where the metric was not taken, or is none of right and wrong, such as `bits`."""
        return self.scores.get(metric)

    def right(self, metric: str) -> bool:
        """Whether the answer is wholly right."""
        return self.scores.get(metric) == 1


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a model made of a task."""

    task: str
    metric: str
    """The metric that is reported."""
    chance: float
    """What guessing scores by it."""
    items: tuple[ItemResult, ...]

    @property
    def scores(self) -> dict[str, float]:
        """The mean of every metric over the items that have it."""
        return _means(self.items)

    @property
    def bits_per_byte(self) -> float | None:
        """Bits per byte of the right answers, over all items; None where none was scored."""
        scored = [item for item in self.items if item.bits is not None]
        length = sum(item.bytes or 0 for item in scored)
        return sum(item.bits or 0.0 for item in scored) / length if length else None

    @property
    def value(self) -> float | None:
        """The metric that is reported: a mean score, or bits per byte."""
        return self.bits_per_byte if self.metric == "bits" else self.scores.get(self.metric)

    def summary(self) -> dict[str, Any]:
        """Everything but the items, for people and for reports."""
        subjects: dict[str, list[ItemResult]] = defaultdict(list)
        for item in self.items:
            if item.subject is not None:
                subjects[item.subject].append(item)
        return {
            "task": self.task,
            "metric": self.metric,
            "chance": self.chance,
            "items": len(self.items),
            "value": self.value,
            "bits_per_byte": self.bits_per_byte,
            "scores": self.scores,
            "cut": sum(item.cut for item in self.items),
            "subjects": {
                name: {"items": len(items), "scores": _means(items)} for name, items in sorted(subjects.items())
            },
        }

    def write(self, directory: Path) -> None:
        """Writes `items.jsonl` and `summary.json`, each whole or not at all."""
        write_lines(directory / ITEMS, [asdict(item) for item in self.items], sealed=True)
        write_json(directory / SUMMARY, self.summary(), sealed=True)


def read_task_result(directory: Path) -> TaskResult:
    """Reads what `TaskResult.write` wrote. Raises SapwoodError where it is damaged."""
    remedy = remake(directory)
    summary, lines = read_json(directory / SUMMARY, remedy), read_lines(directory / ITEMS, remedy)
    with reading(directory / ITEMS, remedy):
        if len(lines) != summary["items"]:
            raise ValueError(f"it has {len(lines):,} items, and had {summary['items']:,}")
        return TaskResult(summary["task"], summary["metric"], summary["chance"], tuple(map(_item, lines)))


def _item(record: Mapping[str, Any]) -> ItemResult:
    forms = {form: tuple(values) for form, values in record["loglikelihoods"].items()}
    return ItemResult(**{**record, "options": tuple(record["options"]), "loglikelihoods": forms})


def _means(items: Iterable[ItemResult]) -> dict[str, float]:
    by_metric: dict[str, list[float]] = defaultdict(list)
    for item in items:
        for metric, score in item.scores.items():
            by_metric[metric].append(score)
    return {metric: _mean(scores) for metric, scores in sorted(by_metric.items())}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
