"""Comparisons: verdicts by task, signs, what is left out, and results that cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_results import bits, choices, suite
from sapwood.errors import SapwoodError
from sapwood.evaluation.comparison import compare

RANDOM = np.random.default_rng(5)
HALF = RANDOM.random(400) < 0.5


def better(right: np.ndarray, share: float) -> np.ndarray:
    """The same, and a share of the wrong ones right too."""
    return right | (np.random.default_rng(1).random(len(right)) < share)


def test_what_was_won_is_gained_and_what_stayed_is_kept() -> None:
    before = {"new": choices("new", HALF), "sums": bits("sums", [30.0] * 50), "old": choices("old", HALF)}
    after = {
        "new": choices("new", better(HALF, 0.3)),
        "sums": bits("sums", [25.0 + (number % 3) for number in range(50)]),
        "old": choices("old", HALF),
    }
    found = compare(suite(), before, [after], model="m")
    assert {name: task.change.verdict for name, task in found.tasks.items()} == {
        "new": "gained",
        "sums": "gained",
        "old": "kept",
    }
    assert found.failures == []
    sums = found.tasks["sums"]
    assert sums.in_bits
    assert (sums.before.value, sums.after[0].value) == (pytest.approx(3.0), pytest.approx(2.598))
    assert sums.change.value == pytest.approx(0.402)  # fewer bits are better, so the change is above zero
    assert found.tasks["new"].flips is not None
    assert found.tasks["new"].flips.lost.estimate.value == 0
    assert sums.flips is None


def test_an_ability_that_lost_its_margin_fails_the_gate() -> None:
    before, after = {"old": choices("old", HALF)}, {"old": choices("old", HALF & (RANDOM.random(400) < 0.6))}
    found = compare(suite(), before, [after], model="m")
    assert found.tasks["old"].change.verdict == "lost"
    assert [task.task for task in found.failures] == ["old"]
    assert list(found.tasks) == ["old"]


def test_few_items_exclude_no_loss() -> None:
    same = {"old": choices("old", HALF[:20])}
    task = compare(suite(), same, [same], model="m").tasks["old"]
    assert task.change.verdict == "loss not excluded"
    assert task.change.fails
    assert task.detectable > task.change.margin


def test_a_gain_that_is_not_shown_fails_no_gate_but_a_loss_of_it_does() -> None:
    before = {"new": choices("new", HALF)}
    for after, verdict, fails in ((HALF, "no gain shown", False), (HALF & (RANDOM.random(400) < 0.6), "worse", True)):
        change = compare(suite(), before, [{"new": choices("new", after)}], model="m").tasks["new"].change
        assert (change.verdict, change.fails, change.passed) == (verdict, fails, False)


def test_models_that_guess_are_at_chance() -> None:
    guessed = {"new": choices("new", RANDOM.random(400) < 0.25), "old": choices("old", HALF)}
    found = compare(suite(), guessed, [guessed], model="m")
    assert found.tasks["new"].at_chance
    assert not found.tasks["old"].at_chance


def test_what_cannot_be_lost_is_said_to_be_so() -> None:
    low = {"old": choices("old", np.arange(400) < 125)}  # 31 of 100, by chance 25, with a margin of 10
    found = compare(suite(), low, [low], model="m").tasks["old"]
    assert (found.change.verdict, found.caveat) == ("kept", "nothing to lose")
    high = {"old": choices("old", HALF)}
    assert compare(suite(), high, [high], model="m").tasks["old"].caveat == ""


def test_the_family_is_adjusted_together() -> None:
    before = {"new": choices("new", HALF), "sums": bits("sums", [30.0, 31.0] * 25)}
    after = {"new": choices("new", better(HALF, 0.05)), "sums": bits("sums", [31.0, 30.0] * 25)}
    found = compare(suite(), before, [after], model="m")
    alone = compare(replace(suite(), gain=("new",)), before, [after], model="m")
    assert found.tasks["new"].change.p_value == pytest.approx(2 * alone.tasks["new"].change.p_value)
    assert alone.tasks["sums"].change.verdict is None


def test_items_that_were_trained_on_are_left_out_of_the_clean_change() -> None:
    before, after = choices("new", [False] * 40), choices("new", [True] * 20 + [False] * 20)
    seen = frozenset(f"new-{number}" for number in range(20))
    task = compare(suite(), {"new": before}, [{"new": after}], model="m", overlap={"new": seen}).tasks["new"]
    assert task.change.value == 0.5
    assert task.clean is not None
    assert (task.clean.n, task.clean.value) == (20, 0)
    everything = compare(suite(), {"new": before}, [{"new": after}], model="m", overlap={}).tasks["new"]
    assert everything.clean is not None
    assert everything.clean.n == 40


def test_subjects_are_apart() -> None:
    after = choices("new", [number % 2 == 0 for number in range(40)])
    task = compare(suite(), {"new": choices("new", [False] * 40)}, [{"new": after}], model="m").tasks["new"]
    assert {name: (part.n, part.before, part.after, part.value) for name, part in task.subjects.items()} == {
        "a": (20, 0.0, 1.0, 1.0),
        "b": (20, 0.0, 0.0, 0.0),
    }


def test_seeds_are_judged_together() -> None:
    before = {"new": choices("new", HALF)}
    seeds = [{"new": choices("new", HALF | (np.random.default_rng(n).random(400) < 0.3))} for n in range(4)]
    found = compare(suite(), before, seeds, model="four")
    task = found.tasks["new"]
    assert len(task.after) == 4
    assert task.change.verdict == "gained"
    assert task.exact_p_value is None
    assert found.mean_change("gain") is None, "seeds are shared by all tasks"
    one = compare(suite(), before, seeds[:1], model="one").tasks["new"]
    assert task.change.estimate.degrees_of_freedom == 3
    assert task.detectable != one.detectable


def test_means_are_by_aim_and_language() -> None:
    before = {"new": choices("new", HALF), "old": choices("old", HALF)}
    after = {"new": choices("new", better(HALF, 0.3)), "old": choices("old", HALF)}
    found = compare(suite(), before, [after], model="m")
    gain = found.mean_change("gain")
    assert gain is not None
    assert gain.value == pytest.approx(found.tasks["new"].change.value)
    assert found.mean_change("gain", "en") is None
    assert found.languages == ["zh", "en"]


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (choices("new", [True] * 4, prompt="q"), "4 items were asked with other prompts, such as 'new-0'"),
        (choices("new", [True] * 3), "1 only the first"),
        (bits("new", [3.0] * 4), "'cloze-bytes' is reported in one result, and 'bits' in the other"),
    ],
)
def test_answers_to_other_questions_are_refused(after: object, message: str) -> None:
    with pytest.raises(SapwoodError, match=message):
        compare(suite(), {"new": choices("new", [True] * 4)}, [{"new": after}], model="m")  # type: ignore[dict-item]
