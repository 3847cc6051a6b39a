"""The synthesis report: what was made, what was rejected and why, what an accepted item costs, how many are right."""

from __future__ import annotations

from pathlib import Path

from sapwood.files import write_atomic
from sapwood.recipe import Synthesis
from sapwood.report.html import render_sections
from sapwood.report.synthesis import sections
from sapwood.report.synthesis.facts import read_synthesis_facts
from sapwood.synthesis.directory import JobDirectory

SECTIONS = (
    ("overview", "What was made", sections.overview_section),
    ("stages", "Stage by stage", sections.stages_section),
    ("groups", "By discipline and format", sections.groups_section),
    ("precision", "How many are right", sections.precision_section),
    ("accepted", "Accepted", sections.accepted_section),
    ("rejected", "Rejected", sections.rejected_section),
)


def write_synthesis_report(job: Synthesis, directory: JobDirectory) -> Path:
    """Writes the page about a finished job, and returns its path."""
    facts = read_synthesis_facts(job, directory)
    write_atomic(directory.report, render_sections("synthesis", SECTIONS, facts, job=job))
    return directory.report
