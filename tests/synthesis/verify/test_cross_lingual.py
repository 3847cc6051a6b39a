"""Translations are ours, in both directions; the judge and the translator are programs that know them. What a real
model would find is not tested here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from sapwood.corpus.benchmark_index import Item as BenchmarkItem
from sapwood.generation.client import Failure
from sapwood.generation.embed import Embedded
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import CrossLingual
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.cross_lingual import CrossLingualStage
from verify_fake import asking, item, judged, never, sections, serving

PAIRS = [
    (
        "A baker uses 250 grams of flour for one loaf. How many loaves can she bake from a sack of 15 kilograms?",
        "面包师做一个面包需要用250克面粉。用一袋15千克的面粉，她可以做多少个面包？",
    ),
    (
        "A cyclist rides 12 kilometres uphill in 48 minutes and returns the same way in 24 minutes. What is his "
        "average speed for the whole trip in kilometres per hour?",
        "一名骑车人上坡骑行12千米用了48分钟，沿原路返回用了24分钟。他全程的平均速度是每小时多少千米？",
    ),
    (
        "Which organelle of a plant cell turns the energy of sunlight into chemical energy?",
        "植物细胞中哪一种细胞器把太阳光的能量转变为化学能？",
    ),
]
OTHERS = [
    ("How many prime numbers lie between 20 and 50, both ends left out?", "20与50之间有多少个质数（不含两端）？"),
    ("Why does the moon show always the same face to the earth?", "为什么月球总是以同一面朝向地球？"),
]
REWORDED = "From a sack of 15 kilograms, how many loaves are baked if a baker uses 250 grams of flour for one loaf?"
ENGLISH = [BenchmarkItem("exam-en", number, (en, "solution")) for number, (en, _) in enumerate([*PAIRS, OTHERS[0]])]
CHINESE = [BenchmarkItem("exam-zh", number, (zh,)) for number, (_, zh) in enumerate([*PAIRS, OTHERS[0]])]
KNOWN = dict([*PAIRS, *OTHERS])
TRANSLATED = KNOWN | {zh: en for en, zh in KNOWN.items()} | {REWORDED: PAIRS[0][1]}
SUBJECT = {text: number for number, pair in enumerate([*PAIRS, *OTHERS]) for text in pair} | {REWORDED: 0}
EMBEDDING = ModelServer(url="http://localhost:1/v1", model="embeddings")


def between(prompt: str, *names: str) -> str:
    (name,) = [name for name in names if f"<{name}>" in prompt]
    return prompt.split(f"<{name}>\n")[1].split(f"\n</{name}>")[0]


def expert(prompt: str, _: int) -> str:
    """Translates loosely, and says whether two questions are the same."""
    if "<question>" in prompt or "<题目>" in prompt:
        text = TRANSLATED[between(prompt, "question", "题目")]
        loosely = text.replace("How many", "What number of").replace("她可以", "一共能够")
        return sections(Translation=loosely) if "<question>" in prompt else f"[译文]\n{loosely}"
    first, second = between(prompt, "first", "第一题"), between(prompt, "second", "第二题").split("\n")[0]
    same = SUBJECT[first] == SUBJECT[second]
    if "<first>" in prompt:
        return judged("yes" if same else "no")
    return f"[理由]\n因为。\n[结论]\n{'是' if same else '否'}"


def embed(server: ModelServer, texts: Sequence[str]) -> Embedded:
    assert server == EMBEDDING
    rows = np.zeros((len(texts), len(SUBJECT) + 1), np.float32)
    for row, text in enumerate(texts):
        rows[row, SUBJECT.get(text, len(SUBJECT))] = 1
        rows[row, -1] += 0.5
    return Embedded(rows / np.linalg.norm(rows, axis=1, keepdims=True), {})


def check(
    items: list[Item], benchmarks: list[BenchmarkItem], directory: Path, *, meaning: bool = False, candidates: int = 3
) -> list[Verdict]:
    with serving(expert) as (server, _):
        settings = CrossLingual(judge=server, embedding=EMBEDDING if meaning else None, candidates=candidates)
        found = CrossLingualStage(settings, benchmarks, embed).check(items, asking(directory))
    assert all(isinstance(verdict, Verdict) for verdict in found)
    return [verdict for verdict in found if isinstance(verdict, Verdict)]


@pytest.mark.parametrize("meaning", [False, True])
@pytest.mark.parametrize("to_english", [False, True])
def test_translations_are_found_in_both_directions(tmp_path: Path, meaning: bool, to_english: bool) -> None:
    side, language = (1, "zh") if to_english else (0, "en")
    items = [item(pair[side], "1", language=language) for pair in [*PAIRS, OTHERS[1]]]
    benchmarks = ENGLISH if to_english else CHINESE
    found = check(items, benchmarks, tmp_path, meaning=meaning)
    assert [verdict.passed for verdict in found] == [False] * 3 + [True]
    assert {verdict.reason for verdict in found[:3]} == {f"holds an item of {benchmarks[0].benchmark}"}
    for number, verdict in enumerate(found[:3]):
        (same,) = [row for row in verdict.detail["candidates"] if row["judge"] == "yes"]
        assert same["item"] == number
        assert same["text"].startswith(benchmarks[number].texts[0])
        assert verdict.score == max(row["nearness"] for row in verdict.detail["candidates"])


def test_other_words_of_the_same_language(tmp_path: Path) -> None:
    (found,) = check([item(REWORDED, "60")], ENGLISH, tmp_path)
    assert (found.passed, found.detail["candidates"][0]["item"]) == (False, 0)


def test_only_the_nearest_are_judged(tmp_path: Path) -> None:
    (found,) = check([item(PAIRS[0][0], "60")], ENGLISH, tmp_path, meaning=True, candidates=2)
    assert found.detail["candidates"][0]["item"] == 0
    assert len(found.detail["candidates"]) == 2
    assert found.prompt_tokens == 22  # two judgements, no translation


def test_what_has_no_candidates_is_not_judged(tmp_path: Path) -> None:
    (found,) = check([item(OTHERS[1][0], "tides")], ENGLISH, tmp_path)
    assert (found.passed, found.detail["candidates"], found.score) == (True, [], None)
    assert found.prompt_tokens == 11  # the translation alone


def test_a_translation_that_cannot_be_read_leaves_the_words(tmp_path: Path) -> None:
    def silent(prompt: str, before: int) -> str:
        return expert(prompt, before) if "<first>" in prompt else "I cannot."

    with serving(silent) as (server, _):
        stage = CrossLingualStage(CrossLingual(judge=server), ENGLISH, never)
        (found,) = stage.check([item(PAIRS[1][0], "20")], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert not found.passed


@pytest.mark.parametrize("fails", [lambda p: "<question>" in p, lambda p: "<first>" in p])
def test_failures(tmp_path: Path, fails: Callable[[str], bool]) -> None:
    with serving(lambda prompt, n: 400 if fails(prompt) else expert(prompt, n)) as (server, _):
        stage = CrossLingualStage(CrossLingual(judge=server), ENGLISH, never)
        (found,) = stage.check([item(PAIRS[1][0], "20")], asking(tmp_path))
    assert isinstance(found, Failure)


def test_no_items_and_no_benchmarks(tmp_path: Path) -> None:
    assert check([], ENGLISH, tmp_path, meaning=True) == []
    (found,) = check([item(PAIRS[0][0], "60")], [], tmp_path)
    assert found.passed
