"""The data report: what became of the documents, step by step, with examples of what was filtered."""

from __future__ import annotations

from pathlib import Path

from sapwood.files import write_atomic
from sapwood.recipe.schema import Recipe
from sapwood.report.data import sections
from sapwood.report.data.facts import read_data_facts
from sapwood.report.html import render_sections
from sapwood.runs.directory import RunDirectory

SECTIONS = (
    ("overview", "What is left", sections.overview_section),
    ("steps", "Step by step", sections.steps_section),
    ("dropped", "What was filtered", sections.dropped_section),
    ("languages", "Languages", sections.languages_section),
    ("topics", "Topics", sections.topics_section),
    ("lengths", "Lengths", sections.lengths_section),
    ("perplexity", "Perplexity", sections.perplexity_section),
    ("duplicates", "Copies", sections.duplicates_section),
    ("contamination", "Benchmark items", sections.contamination_section),
)


def write_data_report(recipe: Recipe, run: Path) -> Path:
    """Writes `run/data.html` about the documents of every source that is prepared, and returns its path."""
    facts = read_data_facts(recipe, run)
    path = RunDirectory(run).data_report
    write_atomic(path, render_sections("data", SECTIONS, facts, recipe=recipe))
    return path
