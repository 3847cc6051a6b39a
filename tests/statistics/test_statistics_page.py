"""The page on statistics says what the code does."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from sapwood.statistics.power import Design, spread

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def test_its_examples_run() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert found.attempted > 20
    assert found.failed == 0


def test_its_smallest_changes_are_computed() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| \w+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE.read_text("utf-8"), re.M)
    assert len(rows) == 5
    for items, *points in rows:
        for correlation, written in zip((0.0, 0.5, 0.8), points, strict=True):
            effect = Design(deviation=spread(0.45, correlation)).smallest_effect(int(items.replace(",", "")))
            assert 100 * effect == pytest.approx(float(written), abs=0.05)
