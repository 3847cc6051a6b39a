"""The account of a job: how many items every stage saw and rejected, by discipline, and what that took in tokens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from sapwood.synthesis.record import CHECKED, FORM


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
