"""The page of a study: question, design, noise floor, arms on one axis, trajectories, conclusion, its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapwood.files import write_atomic
from sapwood.report import plots
from sapwood.report.axes import Figure
from sapwood.report.html import render_sections
from sapwood.report.palette import palette
from sapwood.studies.judge import Findings
from sapwood.studies.plan import StudyPlan
from sapwood.studies.primary import Primary
from sapwood.studies.search import Forecast
from sapwood.studies.tables import arms_table, contrasts_table, design_table, forecasts_table, noise_table
from sapwood.studies.trajectories import trajectories
from sapwood.studies.transfer import Certificate


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """All that the page is made from."""

    plan: StudyPlan
    findings: Mapping[str, Findings]
    """By size."""
    forecasts: Sequence[Forecast]
    """Of the solved mixture, where one was searched for."""
    certificates: Sequence[Certificate]
    """Where there are several sizes."""
    remark: str
    """What a reader has to know before the conclusions; empty for nothing."""


@dataclass(frozen=True, slots=True)
class MetricPanel:
    """A metric at one size, and its figure."""

    size: str
    primary: Primary
    figure: Figure


SECTIONS = (
    ("question", "Question", lambda facts: _question(facts)),
    ("design", "Design", lambda facts: _design(facts)),
    ("noise", "Noise floor", lambda facts: _noise(facts)),
    ("arms", "Arms", lambda facts: _arms(facts)),
    ("trajectories", "Trajectories", lambda facts: _trajectories(facts)),
    ("forecast", "Forecast", lambda facts: {"table": forecasts_table(facts.forecasts)}),
    ("transfer", "Transfer", lambda facts: {"certificates": facts.certificates}),
    ("conclusion", "Conclusion", lambda facts: _conclusion(facts)),
    ("limits", "What it does not show", lambda facts: {"limits": limits(facts)}),
)


def write_page(facts: StudyFacts) -> Path:
    """Writes the page and returns its path. A study without a search, or of one size, has no section about it."""
    page = facts.plan.directory.page
    interim = any(found.is_interim for found in facts.findings.values())
    left_out = {name for name, there in (("forecast", facts.forecasts), ("transfer", facts.certificates)) if not there}
    sections = tuple(section for section in SECTIONS if section[0] not in left_out)
    write_atomic(page, render_sections("study", sections, facts, study=facts.plan.study, interim=interim))
    return page


def limits(facts: StudyFacts) -> list[str]:
    """What a reader could take from the study, and must not."""
    plan, study = facts.plan, facts.plan.study
    tokens = sorted({row.tokens for row in plan.arms})
    lengths = f"{tokens[0]:,}" if len(tokens) == 1 else f"{tokens[0]:,} to {tokens[-1]:,}"
    found = [
        f"It was run at {lengths} tokens a trial. The best mixture moves with the budget (AutoScale, arXiv "
        "2407.20177): nothing here says what is best at another one."
    ]
    if not study.sizes:
        found.append("It was run with one base model; whether its findings hold for a larger one, it does not say.")
    if len(study.seeds) < 5:
        found.append(
            f"{len(study.seeds)} seeds a trial: intervals rest on {len(study.seeds) - 1} degrees of freedom, and hold "
            "as far as differences between seeds are normal."
        )
    found.append(
        "Seeds decide the order of the data. The base model, the texts and what of them is held out are the same in "
        "all trials: others could give another answer."
    )
    if any(primary.sources for primary in plan.primaries):
        found.append(
            "Bits per byte of held-out text can stay while abilities that text does not show are lost, learning from "
            "context above all (arXiv 2506.00288): benchmarks among the primary metrics would show it."
        )
    return found


def _question(facts: StudyFacts) -> dict[str, Any]:
    return {
        "remark": facts.remark,
        "conclusions": {size: found.conclusions for size, found in facts.findings.items()},
        "failed": {name: why for found in facts.findings.values() for name, why in found.failed.items()},
    }


def _design(facts: StudyFacts) -> dict[str, Any]:
    study = facts.plan.study
    return {
        "plan": facts.plan,
        "table": design_table(facts.plan),
        "seeds": ", ".join(map(str, study.seeds)),
        "comparisons": max(1, (len(study.arms) - 1) * len(study.primary)),
    }


def _noise(facts: StudyFacts) -> dict[str, Any]:
    return {"tables": [noise_table(found, size or None) for size, found in facts.findings.items()]}


def _arms(facts: StudyFacts) -> dict[str, Any]:
    panels = []
    for size, found in facts.findings.items():
        for primary in found.primaries:
            rows = tuple(item for item in found.arms if item.primary is primary)
            if rows:
                margin = facts.plan.study.margin if primary.aim == "retention" else None
                panels.append(MetricPanel(size, primary, plots.forest([row.change for row in rows], margin)))
    return {"panels": panels, "table": arms_table(facts.findings, facts.plan.study.confidence)}


def _conclusion(facts: StudyFacts) -> dict[str, Any]:
    panels = []
    for size, found in facts.findings.items():
        for primary in found.primaries:
            rows = tuple(item for item in found.contrasts if item.primary is primary)
            if rows:
                figure = plots.forest([row.change for row in rows], None)
                panels.append(MetricPanel(size, primary, figure))
    table = contrasts_table(facts.findings, facts.plan.study.confidence)
    return {"findings": facts.findings, "panels": panels, "table": table}


def _trajectories(facts: StudyFacts) -> dict[str, Any]:
    study = facts.plan.study
    colors = palette(dict.fromkeys((row.arm.label for row in facts.plan.arms), "gain"))
    panels = []
    for size, found in facts.findings.items():
        for primary in found.primaries:
            rows = trajectories(facts.plan.directory, found.arms, primary)
            if rows:
                margin = study.margin if primary.aim == "retention" else None
                figure = plots.trajectories(rows, colors, study.confidence, margin, primary.metric)
                panels.append(MetricPanel(size, primary, figure))
    return {"panels": panels, "legend": list(colors.items())}
