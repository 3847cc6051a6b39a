from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.block import START, new_document
from sapwood.corpus.quality import ALPHABETIC, UNSPACED, QualityCheck, TextMeasures, judge
from sapwood.recipe.data import RuleSet

ALL: list[RuleSet] = ["gopher-quality", "gopher-repetition", "c4", "fineweb"]
CHANCE = random.Random(0)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=CHANCE.randint(3, 9))) for _ in range(4000)] + [
    "the",
    "of",
    "and",
    "with",
] * 200
CHARACTERS = [chr(CHANCE.randrange(0x4E00, 0x9FA5)) for _ in range(3000)] + list("的了是在和不") * 60


def english(words: int, seed: int = 0) -> str:
    chance = random.Random(seed)
    sentences = [" ".join(chance.choices(WORDS, k=12)).capitalize() + "." for _ in range(words // 12)]
    return "\n".join(" ".join(sentences[start : start + 3]) for start in range(0, len(sentences), 3)) + "\n"


def chinese(characters: int, seed: int = 0) -> str:
    chance = random.Random(seed)
    sentences = ["".join(chance.choices(CHARACTERS, k=19)) + "。" for _ in range(characters // 19)]
    return "\n".join("".join(sentences[start : start + 3]) for start in range(0, len(sentences), 3)) + "\n"


def test_prose_passes_all_rules() -> None:
    for seed in range(5):
        assert judge(english(300, seed), ALL) is None
        assert judge(chinese(500, seed), ALL) is None


@pytest.mark.parametrize(("text", "limits"), [(english(100), ALPHABETIC), (chinese(100), UNSPACED), ("", ALPHABETIC)])
def test_the_script_decides_which_limits_hold(text: str, limits: object) -> None:
    assert TextMeasures(text).limits is limits


EN, ZH = english(600), chinese(900)
PARAGRAPH = english(120, 7)
SPACED = EN.replace("\n", "\n\n")


@pytest.mark.parametrize(
    ("rule", "passes", "fails"),
    [
        ("gopher-quality: too few words", english(60), english(36)),
        ("gopher-quality: too few words", chinese(95), chinese(57)),
        ("gopher-quality: too many words", EN, " the and " * 50_001),
        ("gopher-quality: words too short or too long", EN, " ".join(["the", "of", *"abcdefghijk" * 9])),
        ("gopher-quality: too many # signs", EN + "# " * 50, EN + "# " * 70),
        ("gopher-quality: too many ellipses", EN + "... " * 50, EN + "... " * 70),
        ("gopher-quality: too many ellipses", ZH + "…" * 80, ZH + "…" * 200),
        ("gopher-quality: too many bullet lines", EN, "\n".join("• " + line for line in EN.splitlines())),
        ("gopher-quality: too many lines end in an ellipsis", EN, EN.replace(".\n", " ...\n")),
        ("gopher-quality: too few words with letters", EN + "12 " * 100, EN + "12 " * 200),
        ("gopher-quality: too few words with letters", ZH + "12，" * 150, ZH + "12，" * 300),
        ("gopher-quality: too few stop words", "the of " + "water " * 60, "the " + "water " * 60),
        ("gopher-quality: too few stop words", "的了" + "水木火土" * 30, "的" + "水木火土" * 30),
        (
            "gopher-repetition: repeated paragraphs",
            f"{EN}\n\nshort\n\nother",
            f"{EN}\n\nshort\n\nshort\n\nshort\n\nshort",
        ),
        ("gopher-repetition: characters in repeated paragraphs", SPACED, SPACED + f"\n\n{PARAGRAPH}" * 4),
        ("gopher-repetition: repeated lines", EN + "a\n" * 5 + "}\n" * 50, EN + "a\n" * 30),
        ("gopher-repetition: characters in repeated lines", ZH, ZH + (chinese(120, 3).replace("\n", "") + "\n") * 4),
        ("gopher-repetition: one phrase too often", EN, EN + " ".join(f"sapwood heartwood {n}" for n in range(80))),
        ("gopher-repetition: repeated phrases", ZH, ZH + chinese(400, 0).replace("\n", "")),
        ("c4: lorem ipsum", EN, EN + " Lorem ipsum dolor."),
        ("c4: curly bracket", EN, EN + "{"),
        ("c4: too few sentences", "Water flows up here. " * 5, "Water flows up here. " * 4),
        ("c4: too few sentences", "水往上面流动。" * 5, "水往上面流动。" * 4),
        ("fineweb: too few lines end in punctuation", EN, EN.replace(".\n", "\n")),
        ("fineweb: too many short lines", EN, EN + "Short one.\n" * 40),
        ("fineweb: too many short lines", ZH, ZH + "".join(f"短的第{n}行。\n" for n in range(40))),
        ("fineweb: characters in repeated lines", EN, EN + (PARAGRAPH.replace("\n", "") + ".\n") * 3),
        ("fineweb: too many line breaks", EN, "".join(f"{'x' * 15}{n} {'y' * 15}{n}.\n" for n in range(99))),
    ],
)
def test_each_rule_alone(rule: str, passes: str, fails: str) -> None:
    name: RuleSet = rule.partition(":")[0]  # type: ignore[assignment]
    assert judge(passes, [name]) != rule
    assert judge(fails, [name]) == rule


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    found = judge(text, ALL)
    assert found is None or found.partition(": ")[0] in ALL
    assert judge(text, []) is None


@pytest.mark.parametrize(
    "text", ["", "a", "。", "😀" * 500, "x" * 200_000, "年" * 100_000, "\n" * 1000, "word " * 20_000]
)
def test_odd_texts_break_a_rule_and_nothing_else(text: str) -> None:
    assert judge(text, ALL) is not None


def test_shares_of_repetition() -> None:
    measures = TextMeasures("a b c d e f a b c d e f")
    assert measures.repeated_share(5) == pytest.approx(6 / 23)
    assert TextMeasures("a b c d e f g h").repeated_share(5) == 0
    assert TextMeasures("ab ab ab ab").frequent_share(2) == pytest.approx(3 * 4 / 11)


def test_the_block_names_the_first_rule() -> None:
    good, bad = new_document(EN, "f#0", START), new_document("{", "f#1", START)
    list(QualityCheck(["c4", "gopher-quality"]).run([good, bad]))
    assert good.metadata["rule"] is None
    assert "reason" not in good.metadata
    assert bad.metadata["rule"] == bad.metadata["reason"] == "c4: curly bracket"


@pytest.mark.parametrize(
    "syllables",
    [
        "กา ขี มือ ดู แม่ พ่อ น้ำ ไฟ รัก ลม",
        "ក ខ្មែ គី ងា ចុះ ឆ្នាំ ជា ដី តួ ថៃ",
        "က ခါ ဂီ ငု စေ ဆို ဇာ ညး တံ ထွက်",
        "あ か さ た な は ま や ら わ",
    ],
)
def test_texts_without_spaces_are_counted_by_letters(syllables: str) -> None:
    chance = random.Random(1)
    text = "\n".join("".join(chance.choices(syllables.split(), k=25)) + "။" for _ in range(12))
    assert TextMeasures(text).limits is UNSPACED
    assert judge(text, ["gopher-quality", "fineweb"]) is None
    assert judge(text[:40], ["gopher-quality"]) == "gopher-quality: too few words"


@pytest.mark.parametrize(
    "words", ["लड़का किताब पढ़ना नदी पानी खेत सुबह शाम", "السَّلَامُ كِتَابٌ نَهْرٌ مَاءٌ", "река вода книга утро вечер"]
)
def test_other_scripts_need_no_english_stop_words(words: str) -> None:
    chance = random.Random(1)
    text = "\n".join(" ".join(chance.choices(words.split(), k=12)) + "।" for _ in range(12))
    assert TextMeasures(text).limits is ALPHABETIC
    assert judge(text, ["gopher-quality", "c4", "fineweb"]) is None
