"""What small models foretell of a larger one, and when that is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from made_up_study import noise, write_trials
from sapwood.recipe import load_recipe
from sapwood.studies.plan import plan_study
from sapwood.studies.transfer import certify, write_recipe
from sapwood.studies.trials import Trial

pytestmark = pytest.mark.slow
ARMS = {f"en-{share}": {"stages.0.mixture": {"zh": 100 - share, "en": share}} for share in (5, 20, 40, 60)}
LOSSES = {"en-5": 0.00, "en-20": 0.05, "en-40": 0.10, "en-60": 0.15}


@pytest.fixture
def two_sizes(tiny_study: Callable[..., Path]) -> Path:
    return tiny_study(base=None, sizes={"small": "recipe.yaml", "large": "recipe.yaml"}, arms=ARMS, seeds=3)


def test_the_same_order_is_certified_and_carried(two_sizes: Path, tmp_path: Path) -> None:
    def levels(trial: Trial) -> dict[str, float]:
        loss = LOSSES[trial.arm.name] * (2 if trial.arm.size == "small" else 1)
        return {"web-zh": 1.5 + loss + 0.001 * noise(trial.seed, trial.name), "web-en": 1.0}

    write_trials(two_sizes, tmp_path, levels)
    plan = plan_study(two_sizes, tmp_path)
    zh, en = certify(plan, resamples=200)
    assert (zh.small, zh.large, zh.best) == ("small", "large", "en-5")
    assert zh.correlation is not None
    assert zh.accuracy is not None
    assert zh.regret is not None
    assert zh.correlation.value == pytest.approx(1)
    assert zh.accuracy.value == 1
    assert zh.regret.value == 0
    assert en.correlation is not None
    carried = write_recipe(plan, [zh, en], tmp_path / "large.yaml")
    assert carried is not None
    text = carried.read_text()
    assert "from arm 'en-5' of study 'toy'" in text
    assert "rank correlation 1.00" in text
    assert {name: int(share) for name, share in load_recipe(carried).stages[0].mixture.items()} == {"zh": 95, "en": 5}


def test_an_order_that_turns_has_its_regret(two_sizes: Path, tmp_path: Path) -> None:
    def levels(trial: Trial) -> dict[str, float]:
        loss = LOSSES[trial.arm.name]
        turned = 0.15 - loss if trial.arm.size == "large" else loss
        return {"web-zh": 1.5 + turned, "book-zh": 1.5 + turned}

    write_trials(two_sizes, tmp_path, levels)
    zh = certify(plan_study(two_sizes, tmp_path), resamples=50)[0]
    assert zh.correlation is not None
    assert zh.regret is not None
    assert zh.correlation.value == pytest.approx(-1)
    assert zh.regret.value == pytest.approx(0.15)
    assert zh.sentence.startswith("zh, small to large: rank correlation -1.00 (-1.00 to -1.00), the better of two arms")


def test_another_budget_is_refused(two_sizes: Path, tmp_path: Path) -> None:
    study = two_sizes.read_text()
    longer = two_sizes.parent / "longer.yaml"
    longer.write_text((two_sizes.parent / "recipe.yaml").read_text().replace('"tokens": 1024', '"tokens": 2048'))
    two_sizes.write_text(study.replace('"large": "recipe.yaml"', '"large": "longer.yaml"'))
    write_trials(two_sizes, tmp_path, lambda trial: {"web-zh": 1.5})
    plan = plan_study(two_sizes, tmp_path)
    zh = certify(plan)[0]
    assert "The trials have 1.024K tokens at small and 2.048K at large" in zh.sentence
    assert write_recipe(plan, [zh], tmp_path / "large.yaml") is None
