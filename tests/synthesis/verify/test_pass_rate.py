from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import PassRate
from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.option_permutation import PassRateStage
from verify_fake import answered, asking, in_turn, item, never, options_of, serving


@pytest.mark.parametrize(
    ("rights", "between", "reason"),
    [
        (4, (0.1, 0.9), ""),
        (8, (0.1, 0.9), "too easy"),
        (0, (0.1, 0.9), "too hard"),
        (8, (0.0, 1.0), ""),
        (2, (0.25, 0.5), ""),
        (4, (0.25, 0.5), ""),
        (1, (0.25, 0.5), "too hard"),
        (5, (0.25, 0.5), "too easy"),
    ],
)
def test_the_rate_must_lie_between(tmp_path: Path, rights: int, between: tuple[float, float], reason: str) -> None:
    say = in_turn({"Q?": [answered("1")] * rights + [answered("2")] * (8 - rights)})
    with serving(say) as (server, _):
        (found,) = PassRateStage(PassRate(server=server, between=between)).check([item("Q?", "1")], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert (found.score, found.reason, found.passed) == (rights / 8, reason, not reason)
    assert found.prompt_tokens == 88


@pytest.mark.parametrize("rights", [3, 7])
def test_rates_at_the_bounds_are_kept(tmp_path: Path, rights: int) -> None:
    say = in_turn({"Q?": [answered("1")] * rights + [answered("2")] * (10 - rights)})
    with serving(say) as (server, _):
        stage = PassRateStage(PassRate(server=server, samples=10, between=(0.3, 0.7)))
        (found,) = stage.check([item("Q?", "1")], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert found.passed


def test_multiple_choice_is_asked_in_many_orders(tmp_path: Path) -> None:
    def guesses(prompt: str, before: int) -> str:
        return answered(sorted(options_of(prompt))[before % 4])

    which = item("Which?", "B", choices=("one", "two", "three", "four"))
    with serving(guesses) as (server, asked):
        (found,) = PassRateStage(PassRate(server=server, samples=16)).check([which], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert sum(asked.values()) == 16
    assert len(asked) >= 4
    assert found.score == sum(row["count"] for row in found.detail["answers"] if row["answer"] == "B") / 16


def test_it_has_nothing_to_say_of_other_items() -> None:
    server: Any = ModelServer(url="http://localhost:1/v1", model="m")
    others = [item("Write.", "def f(): ...", tests="f()"), item("Why?", "since " * 20)]
    assert PassRateStage(PassRate(server=server)).check(others, never) == [None, None]
