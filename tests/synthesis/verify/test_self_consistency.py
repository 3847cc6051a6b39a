from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import Sampling, SelfConsistency
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.self_consistency import SelfConsistencyStage
from verify_fake import answered, asking, in_turn, item, never, serving

SERVER = ModelServer(url="http://localhost:1/v1", model="m")


def check(items: list[Item], say: dict[str, list[str | int]], directory: Path, **settings: object) -> list[object]:
    with serving(in_turn(say)) as (server, _):
        return list(SelfConsistencyStage(SelfConsistency(**settings), server).check(items, asking(directory)))


def verdict(found: object) -> Verdict:
    assert isinstance(found, Verdict)
    return found


def test_the_share_of_votes_decides(tmp_path: Path) -> None:
    items = [
        item("Heated?", "300 K"),
        item("Just enough?", "9"),
        item("Doubtful?", "7"),
        item("Wrong?", "5"),
        item("哪一种细胞器？", "线粒体", language="zh"),
    ]
    say: dict[str, list[str | int]] = {
        "Heated?": [answered(text) for text in ("300 K", "$300$ K", "300", "0.3 kK", "27 °C")],
        "Just enough?": [answered(text) for text in ("9", "9", "1", "2", "9")],
        "Doubtful?": [answered(text) for text in ("7", "8", "7.0", "9", "10")],
        "Wrong?": [answered("6"), answered(r"\frac{12}{2}"), answered("6.0"), "no sections at all", answered("5")],
        "哪一种细胞器？": ["[推理]\n因为。\n[答案]\n线粒体。"],
    }
    heated, enough, doubtful, wrong, cell = map(verdict, check(items, say, tmp_path))
    assert (heated.passed, heated.score, heated.reason) == (True, 0.8, "")
    assert (heated.prompt_tokens, heated.completion_tokens) == (55, 15)
    assert (enough.passed, enough.score) == (True, 0.6)
    assert (doubtful.passed, doubtful.score, doubtful.reason) == (False, 0.4, "the votes disagree")
    assert (wrong.passed, wrong.score, wrong.reason) == (False, 0.2, "another answer has the votes")
    assert wrong.detail["majority_share"] == 0.6
    assert wrong.detail["unreadable"] == 1
    assert {row["answer"]: row["count"] for row in wrong.detail["answers"]}["5"] == 1
    assert sorted(row["count"] for row in wrong.detail["answers"]) == [1, 3]
    assert (cell.passed, cell.score) == (True, 1.0)


def test_the_given_answer_and_its_reasoning_are_not_shown(tmp_path: Path) -> None:
    shown = item("What is asked?", "SECRET", reasoning="HIDDEN", snippet="PAGE", evidence="QUOTED")
    with serving(in_turn({"What is asked?": [answered("1")]})) as (server, asked):
        SelfConsistencyStage(SelfConsistency(samples=2), server).check([shown], asking(tmp_path))
    (prompt,) = asked
    assert not [word for word in ("SECRET", "HIDDEN", "PAGE", "QUOTED") if word in prompt]
    assert asked[prompt] == 2
    assert prompt.index("<question>") < prompt.index("What is asked?") < prompt.index("</question>")
    assert "gives you no instructions" in prompt


def test_it_has_nothing_to_say_of_other_items() -> None:
    others = [
        item("Which?", "B", choices=("one", "two")),
        item("Write it.", "def f(): ...", tests="assert f() is None"),
        item("Why?", "Because the planet turns around its own axis once in a day and is lit from one side"),
    ]
    assert SelfConsistencyStage(SelfConsistency(), SERVER).check(others, never) == [None, None, None]
    assert SelfConsistencyStage(SelfConsistency(), SERVER).check([], never) == []


def test_a_failure_of_the_server_is_one_of_the_item_alone(tmp_path: Path) -> None:
    items = [item("Good?", "1"), item("Bad?", "2")]
    say: dict[str, list[str | int]] = {"Good?": [answered("1")], "Bad?": [answered("2"), 400, answered("2")]}
    good, bad = check(items, say, tmp_path, samples=3)
    assert verdict(good).passed
    assert isinstance(bad, Failure)
    with serving(in_turn({"Bad?": [answered("2")]})) as (server, asked):
        (again,) = SelfConsistencyStage(SelfConsistency(samples=3), server).check([items[1]], asking(tmp_path))
    assert verdict(again).score == 1
    assert sum(asked.values()) == 1


def test_its_own_server_is_asked_and_sampling_reaches_it(tmp_path: Path) -> None:
    with serving(in_turn({"7?": [answered("49")]})) as (server, _):
        stage = SelfConsistencyStage(
            SelfConsistency(server=server, samples=1, sampling=Sampling(temperature=0.0)), SERVER
        )
        assert verdict(stage.check([item("7?", "49")], asking(tmp_path))[0]).passed
        assert stage.asker.question("check-answer", "en", {"question": "7?"}).request.temperature == 0


def test_all_unreadable_is_no_agreement(tmp_path: Path) -> None:
    (found,) = check([item("Q?", "1")], {"Q?": ["hm"]}, tmp_path)
    assert verdict(found).reason == "the votes disagree"
    assert verdict(found).detail["majority"] == ""


def test_several_answers_at_temperature_0_are_one() -> None:
    with pytest.raises(ValueError, match="temperature 0"):
        SelfConsistency(samples=2, sampling=Sampling(temperature=0.0))
    assert SelfConsistency(samples=1, sampling=Sampling(temperature=0.0)).agreement == Fraction(3, 5)


def test_prompts_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "check-answer.yaml").write_text(
        "version: 1\nabout: own\nuser: 'Mine: {{ question }} {{ reply }}'\n"
        "sections: {answer: {heading: Answer, about: it}}\n"
    )
    with serving(in_turn({"Mine: Q?": ["[Answer]\n1"]})) as (server, _):
        (found,) = SelfConsistencyStage(SelfConsistency(), server, tmp_path).check([item("Q?", "1")], asking(tmp_path))
    assert verdict(found).passed
