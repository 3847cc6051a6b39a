from __future__ import annotations

import json
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.recipe.data import Decontamination, Normalise
from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.cross_lingual import ContaminationStage
from verify_fake import item, never

HENS = (
    "Mara keeps 18 hens. Every hen lays 5 eggs a week, of which she sells all but a dozen at 30 cents each. How many "
    "cents does she take in a week?"
)
CHINESE = "小明家养了十八只母鸡，每只母鸡每星期下五个蛋，他把其中的十二个留下，其余的全部卖掉，一共卖了多少个蛋？"


@pytest.fixture
def stage(tmp_path: Path) -> ContaminationStage:
    rows = {"farm-test": {"question": HENS, "answer": "2340"}, "farm-zh": {"question": CHINESE}}
    for name, row in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    return ContaminationStage(Decontamination(benchmarks=[str(tmp_path / "*.jsonl")]), Normalise())


def test_benchmark_items_are_named(stage: ContaminationStage) -> None:
    items = [
        item(HENS, "2340"),
        item("Now try this.", "1", reasoning=f"First recall: {HENS.lower()} Then multiply."),
        item("Which story is about hens?", "A", choices=(HENS, "another")),
        item(CHINESE, "78", language="zh"),
        item("Mara keeps 18 cows, each of which gives 20 litres of milk. How much is that?", "360 L"),
    ]
    found = stage.check(items, never)
    assert all(isinstance(verdict, Verdict) for verdict in found)
    reasons = [verdict.reason for verdict in found if isinstance(verdict, Verdict)]
    assert reasons == ["holds an item of farm-test"] * 3 + ["holds an item of farm-zh", ""]
    first, *_, last = found
    assert isinstance(first, Verdict)
    assert isinstance(last, Verdict)
    assert first.score == 1
    assert first.detail["hits"][0]["excerpt"].startswith("Mara keeps 18 hens")
    assert json.loads(json.dumps(first.detail)) == first.detail
    assert (last.passed, last.score, last.detail) == (True, None, {})


def test_several_benchmarks(stage: ContaminationStage) -> None:
    (found,) = stage.check([item(f"{HENS} {CHINESE}", "1")], never)
    assert isinstance(found, Verdict)
    assert found.reason == "holds an item of farm-test and others"


def test_benchmarks_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="nothing"):
        ContaminationStage(Decontamination(benchmarks=[str(tmp_path / "nothing.jsonl")]), Normalise())
