"""A study's file and its plan: every mistake with its arm, before anything costs anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.studies.plan import plan_study
from sapwood.studies.study import load_study

pytestmark = pytest.mark.slow


def test_a_plan_counts_trials_and_says_what_it_can_show(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study(seeds=5, noise={"zh": 0.002}, budget={"tokens": "11K", "hours": 1})
    plan = plan_study(path, tmp_path / "runs")
    assert (plan.trials, plan.tokens, plan.done, plan.hours) == (10, 10240, 0, None)
    zh, en = plan.detectable
    # A paired t test of five seeds at 0.05 / 2 comparisons finds 2.05 deviations with power 0.8.
    assert zh.units == pytest.approx(2.05, abs=0.01)
    assert zh.effect == pytest.approx(0.0041, abs=1e-4)
    assert en.effect is None
    assert "Cost: 10.24K tokens of 11K; hours, of 1 at most, are known after the first trial." in str(plan)
    assert "The smallest effect that this design shows in 'en' is 2.1 times the standard deviation" in str(plan)
    assert not (tmp_path / "runs").exists()


def test_all_problems_of_all_arms_are_listed(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    arms = {
        "plain": {},
        "typo": {"stages.0.tokns": "8K"},
        "fr": {"stages.0.mixture": {"fr": 1}},
        "scored": {"stages.0.order": {"zh": {"by": "perplexity"}}},
    }
    with pytest.raises(SapwoodError) as caught:
        plan_study(tiny_study(arms=arms), tmp_path / "runs")
    message = str(caught.value)
    assert "arm 'typo': command line: stages.0.tokns: there is no field 'tokns'. Did you mean 'tokens'?" in message
    assert "arm 'fr': " in message
    assert "there is no group 'fr'" in message
    assert "arm 'scored': " in message
    assert "arm 'plain'" not in message


def test_more_tokens_than_the_budget_are_refused(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match=r"plans 4.096K tokens, and its budget is 4K: take fewer arms"):
        plan_study(tiny_study(budget={"tokens": "4K"}), tmp_path / "runs")


def test_a_metric_that_is_not_measured_is_refused(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match=r"measured is called 'zhh'\. Did you mean 'zh'"):
        plan_study(tiny_study(primary=["zhh"]), tmp_path / "runs")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": None}, "write one of `base: RECIPE` and `sizes: {NAME: RECIPE, …}`"),
        ({"reference": "nine"}, "reference: there is no arm 'nine'. Did you mean 'none'?"),
        ({"arms": {"a": {"seed": 1}}}, "arms.a.seed: the study sets it"),
        ({"seeds": [1, 1]}, "seeds: a seed is named twice"),
        ({"seeds": 0}, "seeds: found 0: expected 1 to 100 seeds, or a list of them"),
        ({"noise": {"fr": 0.1}}, "noise.fr: it is not under `primary`."),
        ({"sede": 1}, "there is no field 'sede'. Did you mean 'seeds'?"),
    ],
)
def test_mistakes_in_the_file_are_named(
    tiny_study: Callable[..., Path], fields: dict[str, object], message: str
) -> None:
    with pytest.raises(SapwoodError) as caught:
        load_study(tiny_study(**fields))
    assert message in str(caught.value)
