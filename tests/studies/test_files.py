"""The study files that come with Sapwood can be planned with no data, no model and no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.studies.plan import plan_study

pytestmark = pytest.mark.slow

FILES = sorted(
    path
    for path in (Path(__file__).parents[2] / "studies").rglob("*.yaml")
    if path.read_text(encoding="utf-8").find("\nprimary:") > 0
)


def test_the_papers_five_studies_are_there() -> None:
    assert {"synthetic", "share", "correctness", "order", "disciplines"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_study_can_be_planned(path: Path, tmp_path: Path) -> None:
    plan = plan_study(path, tmp_path)
    assert plan.trials >= len(plan.study.seeds) * 2
    assert plan.done == 0
