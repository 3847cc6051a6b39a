"""The study files that come with Sapwood can be planned with no data, no model and no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.recipe import load_recipe
from sapwood.studies.plan import plan_study
from sapwood.studies.study import load_study

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for path in (ROOT / "studies").rglob("*.yaml")
    if "\nprimary:" in path.read_text(encoding="utf-8") and path.parent.name != "miniature"  # it needs its base model
)


def test_the_papers_five_studies_are_there() -> None:
    assert {"synthetic", "share", "correctness", "order", "disciplines"} <= {path.stem for path in FILES}


def test_the_miniature_is_a_study() -> None:
    study = load_study(ROOT / "studies" / "miniature" / "replay.yaml")
    assert load_recipe(Path(study.base or "")).stages[0].tokens == 64_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_study_can_be_planned(path: Path, tmp_path: Path) -> None:
    plan = plan_study(path, tmp_path)
    assert plan.trials >= len(plan.study.seeds) * 2
    assert plan.done == 0
