"""What a study concludes: differences that are there, differences that are not, and nothing before it is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from made_up_study import noise, write_trials
from pages import EVIL, Page
from sapwood.studies.directory import StudyDirectory, TrialResult
from sapwood.studies.judge import Findings, judge_study
from sapwood.studies.primary import primaries_of
from sapwood.studies.report import report_study
from sapwood.studies.study import load_study
from sapwood.studies.trials import Trial, arms_of

ARMS = {"replay": {}, "none": {"stages.0.mixture": {"zh": 1}}, "twin": {"stages.0.mixture": {"zh": 8, "en": 3}}}
GAINS = {"replay": 0.5, "none": 0.5, "twin": 0.5}
LOSSES = {"replay": 0.0, "none": 0.08, "twin": 0.0}


def judged(file: Path, runs: Path) -> Findings:
    study = load_study(file)
    arms = arms_of(study)
    primaries = primaries_of(arms[0].recipe(0), study.primary)
    return judge_study(study, StudyDirectory(runs / study.name), arms, primaries)


def levels(trial: Trial) -> dict[str, float]:
    """All arms learn as much Chinese; one loses English. Seeds shift all arms together, and each a little."""
    together, own = 0.02 * noise(trial.seed), 0.002 * noise(trial.seed, trial.arm.name)
    gain, loss = GAINS[trial.arm.name], LOSSES[trial.arm.name]
    return {
        "web-zh": 2.0 - gain + together + own,
        "book-zh": 2.4 - gain + together + own,
        "web-en": 1.0 + loss + own,
    }


@pytest.fixture
def five(tiny_study: Callable[..., Path]) -> Path:
    return tiny_study(arms=ARMS, seeds=5, margin=0.02)


def test_a_difference_is_found_and_its_absence_bounded(five: Path, tmp_path: Path) -> None:
    write_trials(five, tmp_path, levels)
    found = judged(five, tmp_path)
    assert not found.is_interim
    by_name = {(c.primary.name, c.arm.name): c for c in found.contrasts}
    worse = by_name["en", "none"]
    assert worse.is_shown
    assert worse.change.value == pytest.approx(-0.08, abs=0.005)
    assert worse.conclusion.startswith("en: 'none' is worse than 'replay' by 0.0")
    same = by_name["zh", "twin"]
    assert not same.is_shown
    assert same.is_equal
    assert f"anything above {same.excluded:.4f} bits per byte is excluded" in same.conclusion
    assert same.conclusion.endswith("they are equal within the margin.")
    # Pairing takes out what a seed does to both arms.
    [zh] = [n for n in found.noise if n.primary.name == "zh"]
    assert zh.between_seeds > 0.01
    assert zh.of_differences < 0.006
    verdicts = {(a.primary.name, a.arm.name): a.change.verdict for a in found.arms}
    assert verdicts["zh", "none"] == "gained"
    assert verdicts["en", "none"] == "lost"
    assert verdicts["en", "replay"] == "kept"


def test_an_interim_report_compares_nothing(five: Path, tmp_path: Path) -> None:
    write_trials(five, tmp_path, lambda trial: levels(trial) if trial.seed < 4 else None)
    found = judged(five, tmp_path)
    assert found.is_interim
    assert not found.contrasts
    assert all(item.change.verdict is None for item in found.arms)
    [sentence] = found.conclusions
    assert sentence.startswith("Interim: 3 of 15 trials are to be run. No conclusion is drawn")


def test_a_failed_trial_is_named_and_the_others_compared(five: Path, tmp_path: Path) -> None:
    trials = write_trials(five, tmp_path, lambda t: None if (t.arm.name, t.seed) == ("none", 2) else levels(t))
    [failed] = [trial for trial in trials if (trial.arm.name, trial.seed) == ("none", 2)]
    StudyDirectory(tmp_path / "toy").record(failed.name, TrialResult(failed.fingerprint, 1.0, 0, "its loss is NaN"))
    found = judged(five, tmp_path)
    assert found.failed == {"none.seed-2": "its loss is NaN"}
    assert found.conclusions[0] == "Arm 'none' failed: see its trials. It is compared with the seeds that both have."
    assert {c.arm.name: c.seeds for c in found.contrasts} == {"none": (0, 1, 3, 4), "twin": (0, 1, 2, 3, 4)}


def test_one_seed_concludes_nothing(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study(arms=ARMS, seeds=1)
    write_trials(path, tmp_path, levels)
    assert all("nothing can be concluded from 1 seed" in c.conclusion for c in judged(path, tmp_path).contrasts)


@pytest.mark.slow
def test_the_report_is_a_page_and_numbers(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    file = tiny_study(arms=ARMS, seeds=3, question=f"Does replay keep English? {EVIL}")
    write_trials(file, tmp_path, levels)
    found = report_study(file, tmp_path)
    page = Page(found.page)
    assert EVIL not in page.source
    assert "Does replay keep English?" in page.text
    assert "'none' is worse than 'replay'" in page.text
    assert "What it does not show" in page.text
    assert [row for row in page.rows if row[:2] == ["en", "none"]]
    numbers = json.loads((tmp_path / "toy" / "findings.json").read_text())["toy"]
    assert len(numbers["against_reference"]) == 4
    assert numbers["conclusions"] == found.conclusions


@pytest.mark.slow
def test_seeds_that_are_added_after_a_look_are_told(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    for seeds in (2, 3):
        path = tiny_study(arms=ARMS, seeds=seeds, primary=["zh"])
        write_trials(path, tmp_path, levels)
        found = report_study(path, tmp_path)
        assert report_study(path, tmp_path).remark == found.remark
    assert found.conclusions[0].startswith("Seeds were changed after conclusions had been drawn with 2 seeds.")
