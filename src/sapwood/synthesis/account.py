"""The account of a job: how many items every stage saw and rejected, by discipline, and what that took in tokens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sapwood.files import read_line, reading
from sapwood.synthesis.attempts import Attempt
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Verdict

FORM = "format"
"""The first stage: whether the answer can be read as an item at all."""
CHECKED = "checked"
"""The last one: whether any stage could check the answer."""


@dataclass(frozen=True, slots=True)
class Record:
    """An attempt, and how far it has come."""

    attempt: Attempt
    answer: str
    """What the generator wrote."""
    tokens: tuple[int, int]
    """Of the prompt, and of the answer."""
    item: Item | None
    """What was read in it."""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """By stage, in order. The last one is the one that rejected it, if one did."""

    @property
    def rejected(self) -> tuple[str, str] | None:
        """The stage that rejected it, and why."""
        return next(((stage, verdict.reason) for stage, verdict in self.verdicts.items() if not verdict.passed), None)

    def judged(self, stage: str, verdict: Verdict | None) -> Record:
        """The same after a stage; None where it had nothing to say."""
        return self if verdict is None else replace(self, verdicts={**self.verdicts, stage: verdict})

    def to_json(self) -> dict[str, Any]:
        """As it is written down. A rejected answer is kept as it came, an accepted one is the item alone."""
        rejected = self.rejected
        record: dict[str, Any] = {"attempt": self.attempt.number, "accepted": rejected is None}
        if rejected is not None:
            record |= {"stage": rejected[0], "reason": rejected[1], "raw": self.answer}
        if self.item is None:
            # What was asked for is known all the same.
            record |= {
                "discipline": self.attempt.seed.discipline,
                "format": self.attempt.format,
                "language": self.attempt.language,
                "difficulty": self.attempt.difficulty,
                "page": self.attempt.seed.page and asdict(self.attempt.seed.page),
                "prompt_tokens": self.tokens[0],
                "completion_tokens": self.tokens[1],
            }
        else:
            record |= self.item.to_json()
        return record | {"verification": {stage: asdict(verdict) for stage, verdict in self.verdicts.items()}}


def read_records(path: Path, remedy: str) -> Iterator[dict[str, Any]]:
    """The records in a file, as JSON. Raises SapwoodError, with a remedy, where it cannot be read, or is damaged."""
    with reading(path, remedy), path.open("rb") as file:
        for line in file:
            yield read_line(line)


class Account:
    """Added up from records as they are written down."""

    def __init__(self) -> None:
        self._total: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._stages: dict[str, Counter[str]] = {}
        self._groups: dict[str, dict[str, Counter[str]]] = {
            name: defaultdict(Counter) for name in ("discipline", "format", "language", "difficulty")
        }

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes in one record, as `Record.to_json` gives it."""
        fate = "accepted" if record["accepted"] else "rejected"
        self._total.update({"attempts": 1, fate: 1})
        stages = record["verification"]
        for stage, verdict in stages.items():
            written = stage == FORM  # the generator's own tokens are those of the item
            tokens = record if written else verdict
            counts = self._stages.setdefault(stage, Counter(seen=0, rejected=0))
            counts.update(
                seen=1,
                rejected=0 if verdict["passed"] else 1,
                prompt_tokens=tokens["prompt_tokens"],
                completion_tokens=tokens["completion_tokens"],
            )
        if not record["accepted"]:
            self._reasons[f"{record['stage']}: {record['reason']}"] += 1
        for name, groups in self._groups.items():
            counts = groups[record[name]]
            counts["attempts"] += 1
            counts["accepted" if record["accepted"] else record["stage"]] += 1

    def counts(self) -> dict[str, int]:
        """`attempts`, `accepted` and `rejected`."""
        return {name: self._total[name] for name in ("attempts", "accepted", "rejected")}

    def reasons(self) -> dict[str, int]:
        """The rejected, by `stage: reason`."""
        return dict(self._reasons.most_common())

    def to_json(self) -> dict[str, Any]:
        """`stages`: `seen`, `rejected` and tokens of each, in order; `by`: for every discipline, format, language and
        difficulty the `attempts`, those `accepted`, and those rejected by each stage."""
        return {
            **self.counts(),
            "reasons": self.reasons(),
            "stages": {stage: dict(self._stages[stage]) for stage in sorted(self._stages, key=CHECKED.__eq__)},
            "by": {
                name: {group: dict(counts) for group, counts in sorted(groups.items())}
                for name, groups in self._groups.items()
            },
        }
