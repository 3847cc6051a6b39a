"""The published scores of Llama-3-SynE with verdicts: what the example says, and what its page prints."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import norm

from sapwood.evaluation.published import unpaired_change
from sapwood.recipe.suite import load_suite
from sapwood.statistics.family import holm

ROOT = Path(__file__).parents[2]
SOLID = {"math", "cmmlu", "asdiv", "mawps", "gaokao-biology", "gaokao-chemistry", "ceval", "gsm8k"}
NOT_TOLD_FROM_ZERO = {"sat-math", "humaneval", "gaokao-mathqa", "mbpp", "sciq", "arc-easy", "aqua-rat"}


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("judge_table", ROOT / "examples/the-papers-table/judge_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_the_script_prints(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    example.main()
    assert capsys.readouterr().out in (ROOT / "docs" / "the-papers-table.md").read_text(encoding="utf-8")


def test_the_verdicts_on_the_paper(example: ModuleType) -> None:
    scores, suite = example.read_scores(), load_suite("paper")
    assert set(scores) == set(suite.tasks) == {*suite.gain, *suite.retention}
    gain = example.judge("gain", {task: scores[task] for task in suite.gain})
    retention = example.judge("retention", {task: scores[task] for task in suite.retention})
    assert {task for task, found in gain.items() if found.verdict == "gained"} == SOLID
    assert {task for task, found in retention.items() if found.verdict == "kept"} == {"arc-challenge"}
    together = {**gain, **retention}
    z = {task: math.copysign(norm.isf(f.estimate.p_value / 2), f.value) for task, f in together.items()}
    assert {task for task, value in z.items() if value < -1.96} == {"mmlu"}
    assert z["mmlu"] == pytest.approx(-2.5, abs=0.05)
    assert {task for task, value in z.items() if abs(value) < 1.5} == NOT_TOLD_FROM_ZERO
    assert 1.9 < z["arc-challenge"] < 1.96
    assert retention["mmlu"].verdict == "loss not excluded", "by Holm, 0.063"


def test_with_a_thousand_items_mathematics_still_gains(example: ModuleType) -> None:
    every, suite = example.read_scores(), load_suite("paper")
    scores = {task: every[task] for task in suite.gain}
    fewer = {task: replace(scores[task], items=1000) for task in ("math", "gsm8k", "asdiv", "mawps")}
    found = example.judge("gain", scores | fewer)
    assert {found[task].verdict for task in fewer} == {"gained"}


def test_a_little_correlation_shows_the_loss_of_mmlu_by_holm(example: ModuleType) -> None:
    scores, suite = example.read_scores(), load_suite("paper")
    retention = example.judge("retention", {task: scores[task] for task in suite.retention})

    def paired(correlation: float) -> float:
        row = scores["mmlu"]
        parts = [row.before * (1 - row.before), row.after * (1 - row.after)]
        error = math.sqrt((sum(parts) - 2 * correlation * math.sqrt(math.prod(parts))) / row.items)
        own = 2 * norm.sf(abs(row.after - row.before) / error)
        return holm([own, *(found.estimate.p_value for task, found in retention.items() if task != "mmlu")])[0]

    assert paired(0) == pytest.approx(retention["mmlu"].p_value)
    assert paired(0.07) < 0.05 < paired(0.06)
    assert paired(0.5) == pytest.approx(0.002, abs=0.0005)


def test_published_totals() -> None:
    mmlu = unpaired_change(0.6660, 0.6519, 14042)
    assert mmlu.value / mmlu.standard_error == pytest.approx(-2.5, abs=0.02)
    assert mmlu.p_value == pytest.approx(0.0127, abs=0.0005)
