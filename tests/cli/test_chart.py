from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sapwood.backbone.record import write_record
from sapwood.cli.chart import BLOCKS, ROWS, area, labels, print_learning_rate
from sapwood.errors import SapwoodError
from sapwood.mixture.domains import Sizes
from sapwood.mixture.plan import make_plan
from sapwood.recipe import load_recipe

PAPER = Path(__file__).parents[2] / "recipes" / "llama-3-syne.yaml"


def chart(width: int, *overrides: str) -> list[str]:
    recipe = load_recipe(PAPER, overrides)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_learning_rate(console, recipe, make_plan(recipe, Sizes({}, {})))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_every_column_is_as_high_as_its_level(levels: list[float]) -> None:
    lines = [line.ljust(len(levels)) for line in area(levels, [])]
    assert len(lines) == ROWS
    for column, level in enumerate(levels):
        height = sum(BLOCKS.index(line[column]) for line in lines) / (8 * ROWS)
        assert abs(height - level) <= 1 / (8 * ROWS)
        assert (height > 0) == (level > 0)
        filled = [line[column] for line in lines]
        assert filled == sorted(filled, key=BLOCKS.index)


def test_marks_stand_above_the_area_and_not_in_it() -> None:
    lines = [line.ljust(3) for line in area([1.0, 0.5, 0.0], [0, 1, 2])]
    assert ["".join(line[column] for line in lines) for column in range(3)] == ["████████", "┊┊┊┊████", "┊┊┊┊┊┊┊┊"]


@given(
    st.lists(st.tuples(st.text("abc", min_size=1, max_size=20), st.integers(0, 30)), min_size=1, max_size=12),
)
def test_no_label_is_lost_or_touches_another(places: list[tuple[str, int]]) -> None:
    texts, starts = [text for text, _ in places], [start for _, start in places]
    lines = labels(texts, starts, 30)
    assert sorted(part for line in lines for part in line.split()) == sorted(texts)
    assert all(len(line) <= 30 for line in lines)
    for text, start in places:
        assert any(line[min(start, 30 - len(text)) :].startswith(text) for line in lines)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_papers_schedule_is_as_wide_as_the_console(width: int) -> None:
    _, title, *rows, axis, first, second = chart(width)
    assert title == "Learning rate: 1e-7 at the beginning, 1e-5 at most, 1e-5 at the end"
    assert [row[:6] for row in rows] == ["1e-5 ┤", *["     │"] * 3, "5e-6 ┤", *["     │"] * 3]
    assert {len(line) for line in (rows[0], axis, first, second)} == {width}
    assert rows[0][-1] == "█"
    assert rows[0][6] == " "
    assert axis.index("┴") - 6 == round(0.925 * (width - 6))
    assert first.split() == ["0", "bilingual-adaptation", "100B", "tokens"]
    assert second.split() == ["92.5B", "synthetic-enhancement"]


def test_a_stage_that_is_warmed_up_again_is_seen() -> None:
    again = "stages.1.learning_rate={start: final, peak: 1e-5, warmup: 3B, then: stable-decay, decay: 30%}"
    lines = chart(106, "training.learning_rate={peak: 1e-5, then: cosine, end: 10%}", again)
    assert lines[1].endswith("1e-5 at the beginning, 1e-5 at most, 0 at the end")
    top, bottom = lines[2][6:], lines[9][6:]
    assert top.index("┊") == round(0.925 * 100)
    assert top[:5] == "█████"
    assert "█" not in top[20:92]  # the run's own schedule has fallen
    assert "█" in top[93:]
    assert len(bottom) == 100


def test_a_rate_that_only_the_model_knows(tmp_path: Path) -> None:
    assert chart(80, "training.learning_rate=final") == [
        "",
        "Learning rate: begins where the model ended, which is read from it when it is trained",
    ]
    with pytest.raises(SapwoodError, match="Write the rate itself"):
        chart(80, "training.learning_rate=final", f"model={tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    write_record(tmp_path, 2e-6)
    assert "2e-6 at most" in chart(80, "training.learning_rate=final", f"model={tmp_path}")[1]
