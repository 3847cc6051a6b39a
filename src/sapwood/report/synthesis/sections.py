"""What each section of the synthesis report says, as plain values for its template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sapwood.report.data.plots import shades, stacked
from sapwood.report.synthesis.facts import SynthesisFacts
from sapwood.report.synthesis.plots import precision_curve
from sapwood.report.table import Table, count, number, share, share_interval
from sapwood.synthesis.labelled import ThresholdPoint

GROUPS = {"discipline": "Discipline", "format": "Format", "language": "Language", "difficulty": "Difficulty"}


def overview_section(facts: SynthesisFacts) -> dict[str, Any]:
    """How many items there are, and what became of the attempts in every discipline."""
    account = facts.account
    colors = shades(["accepted"], [stage.name for stage in facts.stages if stage.rejected])
    amounts = {
        group: {stage: counts.get(stage, 0) for stage in colors}
        for group, counts in account["by"]["discipline"].items()
    }
    tokens = sum(stage.prompt_tokens + stage.completion_tokens for stage in facts.stages)
    return {
        "attempts": account["attempts"],
        "accepted": account["accepted"],
        "tokens": tokens,
        "cost": [
            (currency, value, _per_thousand(value, account["accepted"])) for currency, value in facts.cost.items()
        ],
        "precision": facts.calibration and facts.calibration.accepted,
        "figure": stacked(amounts, colors, "attempts") if amounts else None,
        "legend": list(colors.items()),
    }


def stages_section(facts: SynthesisFacts) -> dict[str, Any]:
    """What every stage saw, rejected and took."""
    accepted = facts.account["accepted"]
    columns = "Tokens read", "Tokens written", "Tokens for each accepted", "Price", "for a thousand accepted"
    table = Table("Stage", "Looked at", "Rejected", "Share", "Model", *columns)
    for stage in facts.stages:
        each = (stage.prompt_tokens + stage.completion_tokens) / accepted if accepted else None
        thousand = None if stage.price is None else _per_thousand(stage.price, accepted)
        table.add(
            *(stage.name, count(stage.seen), count(stage.rejected)),
            *(share(stage.rejected / stage.seen if stage.seen else None), stage.model or "–"),
            *(count(stage.prompt_tokens), count(stage.completion_tokens), count(each)),
            *(number(stage.price, 2), number(thousand, 2)),
        )
    return {"table": table}


def groups_section(facts: SynthesisFacts) -> dict[str, Any]:
    """Attempts and accepted items by discipline, format, language and difficulty, with what rejected the others."""
    stages = [stage.name for stage in facts.stages if stage.rejected]
    tables = []
    for name, groups in facts.account["by"].items():
        table = Table(GROUPS[name], "Attempts", *(f"− {stage}" for stage in stages), "= accepted", "Share")
        for group, counts in groups.items():
            attempts, accepted = counts["attempts"], counts.get("accepted", 0)
            rejected = (count(counts.get(stage, 0)) for stage in stages)
            table.add(group or "–", count(attempts), *rejected, count(accepted), share(accepted / attempts))
        tables.append((GROUPS[name], table))
    return {"tables": tables}


def precision_section(facts: SynthesisFacts) -> dict[str, Any]:
    """What labelled items say: how many accepted ones are right, and what each threshold would give."""
    if facts.calibration is None:
        return {"stages": [], "accepted": None, "labelled": 0}
    found = facts.calibration
    stages = [
        {
            "name": name,
            "threshold": stage.threshold,
            "table": _thresholds(stage.points),
            "figure": precision_curve(stage.points, stage.threshold, found.target),
        }
        for name, stage in found.stages.items()
    ]
    return {"stages": stages, "accepted": found.accepted, "labelled": found.labelled, "target": found.target}


def _thresholds(points: Sequence[ThresholdPoint]) -> Table:
    """What each threshold would keep, and how much of that is right."""
    table = Table("At least", "Kept", "Right", "Precision", "95% interval", "Right ones kept")
    for point in points:
        kept = count(point.kept), count(point.right), share(point.precision), share_interval(point.interval)
        table.add(number(point.threshold, 2), *kept, share(point.recall))
    return table


def accepted_section(facts: SynthesisFacts) -> dict[str, Any]:
    """Some accepted items of every format."""
    return {"formats": facts.accepted}


def rejected_section(facts: SynthesisFacts) -> dict[str, Any]:
    """Every reason, how often it was given, and some items for which it was."""
    counts = facts.account["reasons"]
    return {
        "stages": {
            stage: [
                (reason, counts[f"{stage}: {reason}"], found)
                for reason, found in sorted(reasons.items(), key=lambda entry: -counts[f"{stage}: {entry[0]}"])
            ]
            for stage, reasons in facts.rejected.items()
        }
    }


def _per_thousand(value: float, accepted: int) -> float | None:
    return 1000 * value / accepted if accepted else None
