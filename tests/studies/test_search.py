"""A mixture search finds the mixture that made-up losses are best at, and its forecast is checked by a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from made_up_study import noise, write_trials
from sapwood.errors import SapwoodError
from sapwood.studies.directory import StudyDirectory
from sapwood.studies.plan import plan_study
from sapwood.studies.search import SOLVED, all_arms, forecasts, shares_of, solve_study
from sapwood.studies.study import load_study
from sapwood.studies.trials import Trial

pytestmark = pytest.mark.slow
DRAW = {"shares": "stages.0.mixture", "arms": 8, "pull": 0.0, "max_epochs": 1000}


@pytest.fixture
def search(tiny_study: Callable[..., Path]) -> Path:
    path = tiny_study(arms={"hand": {}}, seeds=2, primary=["zh", "en"], draw=DRAW)
    recipe = path.parent / "recipe.yaml"
    text = recipe.read_text()
    for name, tokens in (("web-zh", 4000), ("book-zh", 2000), ("web-en", 6000), ("news-en", 500)):
        text = text.replace(f'"files": "{name}.jsonl"', f'"files": "{name}.jsonl", "tokens": {tokens}')
    recipe.write_text(text)
    return path


def test_arms_are_drawn_around_the_natural_mixture_beside_its_rivals(search: Path, tmp_path: Path) -> None:
    study = load_study(search)
    arms = all_arms(study, StudyDirectory(tmp_path / "toy"))
    names = [arm.name for arm in arms]
    assert names == ["hand", "natural", "uniform", "unimax", *(f"drawn-0{n}" for n in range(1, 9)), SOLVED]
    drawn = [arm.fields["stages.0.mixture"] for arm in arms if arm.drawn]
    assert all(sum(shares.values()) == pytest.approx(1) for shares in drawn)
    assert len({shares["zh"] for shares in drawn}) == 8
    assert all(arm.seeds == (0,) for arm in arms if arm.drawn)
    assert plan_study(search, tmp_path).trials == 8 + 5 * 2


def test_the_best_mixture_is_solved_for_and_its_forecast_checked(search: Path, tmp_path: Path) -> None:
    study = load_study(search)
    assert study.draw is not None
    directory = StudyDirectory(tmp_path / study.name)

    def levels(trial: Trial) -> dict[str, float]:
        shares = shares_of(trial, study.draw, directory)
        zh = 1.0 + math.exp(-2.0 * shares["zh"]) + 0.001 * noise(trial.seed, trial.name)
        en = 0.8 + math.exp(-2.0 * shares["en"]) + 0.001 * noise(trial.seed, trial.name, "en")
        return {"web-zh": zh, "book-zh": zh, "web-en": en}

    write_trials(search, tmp_path, levels)
    primaries = plan_study(search, tmp_path).primaries
    solve_study(study, directory, primaries, resamples=30)
    [solved] = [arm for arm in all_arms(study, directory) if arm.name == SOLVED]
    # Both losses fall alike: the best of their sum is the middle.
    assert solved.fields["stages.0.mixture"]["zh"] == pytest.approx(0.5, abs=0.05)
    write_trials(search, tmp_path, levels)
    for forecast in forecasts(study, directory, primaries):
        assert forecast.interval[1] - forecast.interval[0] < 0.05
        assert forecast.loss == pytest.approx(sum(forecast.measured) / 2, abs=0.01)


def test_shares_that_are_none_are_refused(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study(draw={**DRAW, "shares": "training.batch_tokens"})
    with pytest.raises(SapwoodError, match=r"draw\.shares: 'training\.batch_tokens' are no shares"):
        plan_study(path, tmp_path)
