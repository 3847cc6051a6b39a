"""The report: one page that needs no network, with what was gained, kept and lost first."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sapwood.files import write_atomic
from sapwood.recipe.load import dump
from sapwood.recipe.schema import Recipe
from sapwood.report import sections
from sapwood.report.aims import AIMS
from sapwood.report.benchmarks import benchmarks_section
from sapwood.report.html import render
from sapwood.report.mixture import mixture_section
from sapwood.report.run_view import RunView
from sapwood.report.wording import published, without_places
from sapwood.runs.directory import RunDirectory

_FILES = (
    "recipe.yaml",
    "plan.json",
    "ledger.jsonl",
    "metrics.jsonl",
    "environment.json",
    "evaluation/*.json",
    "evaluation/suites/*/base/*/items.jsonl",
    "evaluation/suites/*/model/*/items.jsonl",
    "data.html",
    "merge.html",
    "corpus/*/*/manifest.json",
    "corpus/*/documents/quarantine.jsonl",
    "tokens/*/manifest.json",
    "domains/*/*.json",
    "model/README.md",
)
"""What the page links to, beside which it lies."""

_SECTIONS = (
    ("verdict", "Verdict", sections.verdict_section),
    ("plan", "Plan and ledger", sections.plan_section),
    ("training", "Training", sections.training_section),
    ("mixture", "Mixture", mixture_section),
    ("domains", "Bits per byte", sections.domains_section),
    ("benchmarks", "Benchmarks", benchmarks_section),
    ("samples", "Samples", sections.samples_section),
    ("account", "Token account", sections.account_section),
)


def write_report(recipe: Recipe, run: Path) -> Path:
    """Writes `run/report.html` from what the run directory holds so far, and returns its path.

    Sections for which something is missing say what, and which command makes it. Raises SapwoodError when the ledger
    was changed by hand.
    """
    facts = RunView(recipe, RunDirectory(run))
    path = run / "report.html"
    write_atomic(path, _render(facts))
    return path


def _render(facts: RunView) -> str:
    parts: dict[str, Any] = {name: build(facts) for name, _, build in _SECTIONS}
    parts["environment"] = {
        "versions": without_places(facts.environment),
        "recipe": dump(without_places(facts.recipe.model_dump(mode="json"))),
        "files": _links(facts.run.root),
    }
    events = facts.ledger.events
    return render(
        "page.html.j2",
        [*((name, title) for name, title, _ in _SECTIONS), ("environment", "Environment")],
        recipe=facts.recipe,
        started=events[0].time if events else "",
        ended=events[-1].time if events and events[-1].kind == "finish" else "",
        run=shlex.quote(published(str(facts.run.root))),
        parts=parts,
        folder="",
        AIMS=AIMS,
    )


def _links(run: Path) -> list[tuple[str, str, int]]:
    """Name, address and size of the files that the page links to; empty ones say nothing."""
    found = [path for pattern in _FILES for path in sorted(run.glob(pattern)) if path.stat().st_size]
    names = [path.relative_to(run).as_posix() for path in found]
    return [(name, quote(name), path.stat().st_size) for name, path in zip(names, found, strict=True)]
