from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sapwood.generation.embed import Embedded
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import NearDuplicates
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.near_duplicates import NearDuplicatesStage, Neighbours
from verify_fake import item, never

CHANCE = random.Random(0)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=CHANCE.randint(2, 9))) for _ in range(2000)]
SERVER = ModelServer(url="http://localhost:1/v1", model="embeddings")
MEANING = NearDuplicates(embedding=SERVER)


def question(words: int = 60) -> str:
    return " ".join(CHANCE.choices(WORDS, k=words)) + "?"


def edited(text: str) -> str:
    """The text with one of its words replaced."""
    parts = text.split(" ")
    parts[CHANCE.randrange(len(parts))] = CHANCE.choice(WORDS)
    return " ".join(parts)


def items(questions: Sequence[str]) -> list[Item]:
    return [item(text, "x", id=f"{number:032x}") for number, text in enumerate(questions)]


def check(stage: NearDuplicatesStage, these: Sequence[Item]) -> list[Verdict]:
    found = stage.check(these, never)
    assert all(isinstance(verdict, Verdict) for verdict in found)
    return [verdict for verdict in found if isinstance(verdict, Verdict)]


def passed(verdicts: Sequence[Verdict]) -> list[bool]:
    return [verdict.passed for verdict in verdicts]


def vectors_of(meanings: dict[str, Sequence[float]]) -> Callable[[ModelServer, Sequence[str]], Embedded]:
    def embed(server: ModelServer, texts: Sequence[str]) -> Embedded:
        assert server == SERVER
        rows = np.array([meanings[text] for text in texts], np.float32)
        return Embedded(rows / np.linalg.norm(rows, axis=1, keepdims=True), {})

    return embed


def test_the_first_of_copies_stays() -> None:
    one, two = question(), question()
    these = items([one, two, one, edited(one), one.upper().replace("?", "!"), question()])
    verdicts = check(NearDuplicatesStage(NearDuplicates(), never), these)
    assert passed(verdicts) == [True, True, False, False, False, True]
    assert {verdict.reason for verdict in verdicts} == {"", "near-duplicate"}
    assert [verdict.detail.get("copy_of") for verdict in verdicts[2:5]] == [these[0].id] * 3
    assert verdicts[2].score == 1
    assert 0.7 <= (verdicts[3].score or 0) < 1


def test_other_numbers_signs_and_options_make_another_question() -> None:
    stem = "A train leaves the station at noon and travels at {} km/h for {} hours. How far does it get?"
    texts = [stem.format(60, 2), stem.format(80, 3), "What is 12 + 7?", "What is 12 - 7?"]
    these = items([*texts, "Solve x^2+3x-4=0.", "Solve x^2-3x+4=0."])
    assert passed(check(NearDuplicatesStage(NearDuplicates(), never), these)) == [True] * 6
    these = [
        item("Which of these statements is true?", "A", choices=choices)
        for choices in (("The sun is a star", "The moon is a star"), ("Iron is a metal", "Sulfur is a metal"))
    ]
    assert passed(check(NearDuplicatesStage(NearDuplicates(), never), [*these, these[0]])) == [True, True, False]


def test_chinese() -> None:
    text = "一辆汽车以每小时六十公里的速度行驶了两个小时，它一共走了多远？请写出计算过程。"
    these = items([text, text.replace("？", "?"), "植物细胞和动物细胞在结构上有哪些主要的区别？"])
    assert passed(check(NearDuplicatesStage(NearDuplicates(), never), these)) == [True, False, True]


@pytest.mark.parametrize("size", [1, 30, 1000])
def test_chunks_see_what_came_before(size: int) -> None:
    originals = [question() for _ in range(60)]
    these = items([*originals, *map(edited, originals[:30]), *(question() for _ in range(30))])
    stage = NearDuplicatesStage(NearDuplicates(), never)
    found = [verdict for start in range(0, 120, size) for verdict in check(stage, these[start : start + size])]
    assert passed(found) == [True] * 60 + [False] * 30 + [True] * 30
    assert [verdict.detail["copy_of"] for verdict in found[60:90]] == [each.id for each in these[:30]]


def test_a_stage_that_remembers_goes_on_like_one_that_was_not_stopped() -> None:
    texts = [question() for _ in range(50)]
    texts += [*map(edited, texts), *(question() for _ in range(10))]
    CHANCE.shuffle(texts)
    these = items(texts)
    whole, stopped = NearDuplicatesStage(NearDuplicates(), never), NearDuplicatesStage(NearDuplicates(), never)
    before = check(whole, these[:60])
    stopped.remember(each for each, verdict in zip(these[:60], before, strict=True) if verdict.passed)
    after = check(whole, these[60:])
    assert after == check(stopped, these[60:])
    assert 0 < sum(passed(after)) < 50


def test_the_same_in_other_words() -> None:
    meanings = {
        "What is the capital of France?": [1.0, 0.0, 0.1],
        "Which city is the seat of the French government?": [1.0, 0.0, 0.0],
        "Name the organ that pumps blood.": [0.0, 1.0, 0.0],
        "Which city do French people call their capital?": [1.0, 0.02, 0.1],
    }
    these = items(list(meanings))
    stage = NearDuplicatesStage(MEANING, vectors_of(meanings))
    verdicts = check(stage, these[:3])
    assert passed(verdicts) == [True, False, True]
    assert verdicts[1].reason == "the same in other words"
    assert verdicts[1].score == pytest.approx(1 / 1.01**0.5)
    assert verdicts[1].detail == {"copy_of": these[0].id}
    assert verdicts[0].score is None
    assert verdicts[2].score == pytest.approx(0.0, abs=1e-6)
    (later,) = check(stage, these[3:])
    assert (later.passed, later.detail["copy_of"]) == (False, these[0].id)
    again = NearDuplicatesStage(MEANING, vectors_of(meanings))
    again.remember([these[0], these[2]])
    assert check(again, these[3:]) == [later]


def test_what_fell_for_its_meaning_is_not_compared_with() -> None:
    """Otherwise a stage that was stopped, and remembers only what passed, would go on differently."""
    one, two = question(), question()
    third = edited(two)
    meanings = {one: [1.0, 0.0], two: [1.0, 0.1], third: [0.0, 1.0]}
    these = items([one, two, third])
    stage = NearDuplicatesStage(MEANING, vectors_of(meanings))
    assert passed(check(stage, these[:2])) == [True, False]
    assert passed(check(stage, these[2:])) == [True]


def test_no_items() -> None:
    assert NearDuplicatesStage(MEANING, never).check([], never) == []


def test_the_nearest_are_those_of_a_plain_search() -> None:
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    neighbours = Neighbours()
    for start in range(0, 200, 70):
        neighbours.add(vectors[start : min(start + 70, 200)])
    numbers, cosines = neighbours.nearest(vectors[200:], 3)
    plain = vectors[200:] @ vectors[:200].T
    assert len(neighbours) == 200
    np.testing.assert_allclose(cosines, -np.sort(-plain, axis=1)[:, :3], atol=1e-3)
    np.testing.assert_allclose(np.take_along_axis(plain, numbers, 1), cosines, atol=1e-3)
    assert Neighbours().nearest(vectors, 3)[0].shape == (300, 0)
