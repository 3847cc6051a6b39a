from __future__ import annotations

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.block import START, new_document
from sapwood.corpus.language import _NO_WORDS, Identified, LanguageCheck, _count_letters, identify, mismatch
from sapwood.recipe.data import Language

SETTINGS = Language()

ENGLISH = "The sapwood of a tree carries water from the roots to the leaves, while the heartwood only supports it. " * 4
GERMAN = "Das Splintholz eines Baumes leitet das Wasser von den Wurzeln zu den Blättern, das Kernholz stützt nur. " * 4
CHINESE = "树木的边材把水分从根部输送到叶子，而心材只起支撑作用。每一年，树木都会长出一圈新的木质。" * 4
CLASSICAL = "子曰：學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？人不知而不慍，不亦君子乎？" * 4
JAPANESE = "木の辺材は根から葉へ水を運び、心材は支えるだけである。毎年、新しい年輪ができる。" * 4
KOREAN = "나무의 변재는 뿌리에서 잎으로 물을 나르고, 심재는 지탱하기만 한다." * 4
CODE = (
    "def main(argv):\n    for index in range(len(argv)):\n        x[index] = f(argv[index], y=3)\n    return x\n" * 20
)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (CHINESE, "zh"),
        (CLASSICAL, "zh"),
        (JAPANESE, "ja"),
        (KOREAN, "ko"),
        (ENGLISH.upper(), "en"),
        ("1234 + 5678 = 6912\n" * 9, "und"),
        ("", "und"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert identify(text).language == language


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        (CHINESE, "zh", None),
        (CLASSICAL, "zh", None),
        (CHINESE + CODE[:800], "zh", None),
        (ENGLISH, "zh", "language is en, expected zh"),
        (JAPANESE, "zh", "language is ja, expected zh"),
        ("12345 " * 50, "zh", "too few Han characters, expected zh"),
        (ENGLISH, "en", None),
        (ENGLISH + CODE, "en", None),
        (CODE, "en", None),
        (GERMAN, "en", "language is de, expected en"),
        (CHINESE, "en", "language is zh, expected en"),
        (ENGLISH[:300] + CHINESE[:45], "en", None),
        (JAPANESE, "ja", None),
        (CHINESE, "ja", "language is zh, expected ja"),
    ],
)
def test_mismatches(text: str, expected: str, reason: str | None) -> None:
    assert mismatch(identify(text), expected, SETTINGS) == reason


def test_what_is_doubtful_is_kept() -> None:
    assert mismatch(Identified("it", 0.49, 0.0), "en", SETTINGS) is None
    assert mismatch(Identified("it", 0.51, 0.0), "en", SETTINGS) is not None
    assert mismatch(Identified("it", 0.51, 0.0), "en", Language(confidence=0.6)) is None


def test_a_long_document_is_judged_by_all_of_it() -> None:
    begins_otherwise = ENGLISH * 5 + CHINESE * 400
    assert identify(begins_otherwise).language == "zh"


@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    found = identify(text)
    assert 0 <= found.confidence <= 1
    assert 0 <= found.han_share <= 1
    assert identify(text) == found


def test_the_block_says_what_it_found_and_travels() -> None:
    documents = [new_document(text, "f#0", START) for text in (CHINESE, ENGLISH)]
    chinese, english = copy.deepcopy(LanguageCheck("zh", SETTINGS)).run(documents)
    assert (chinese.metadata["language"], english.metadata["language"]) == ("zh", "en")
    assert chinese.metadata["han_share"] == 1
    assert "reason" not in chinese.metadata
    assert english.metadata["reason"] == "language is en, expected zh"
    (unasked,) = LanguageCheck(None, SETTINGS).run([new_document(ENGLISH, "f#0", START)])
    assert "reason" not in unasked.metadata


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (
            "hr",
            "Vlada je danas objavila nova pravila o ribolovu uz obalu, a mnogi ribari to ne znaju.",
        ),
        ("bs", "Ko hoće hljeba, neka dođe u sedmici pred Bajram."),
        ("ms", "Kerajaan hari ini membentangkan cadangan mengenai perikanan di sepanjang pantai."),
        ("id", "Saya mau pergi ke toko untuk membeli beberapa buku sekolah."),
        ("no", "Eg har aldri sett noko liknande, sa ho, og lo."),
        ("nn", "Kommunen åpner en ny skole i bygda til høsten, melder ordføreren."),
        (
            "als",
            "D Regierig hät hüt neui Regle für d Fischerei am Ufer bekannt gä, und vil wüssed das nöd.",
        ),
        ("gl", "O goberno anunciou hoxe novas regras para a pesca ao longo da costa."),
        ("bh", "सरकार आज समुंदर के किनारे मछरी मारे खातिर नया नियम के घोषणा कइलस।"),
        ("tl", "Hindi ko alam kung saan siya nagpunta kahapon."),
        ("zh", "今朝落大雨，條路塞車塞到嘔，我遲咗成個鐘先返到公司，老細一睇見我就鬧，真係冇陰功。"),
    ],
)
def test_a_language_may_be_taken_for_its_relative(expected: str, text: str) -> None:
    assert mismatch(identify(text), expected, SETTINGS) is None
    assert mismatch(identify(ENGLISH), expected, SETTINGS) is not None


_PLAIN = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|<[^>\n]*>|[^\W\d_]*[\d_=/\\@#{}]\S*", re.DOTALL)


@given(st.lists(st.sampled_from([*"aé漢1²_=/\\@#{}<>`\n :", "https://", "```"]), max_size=40).map("".join))
def test_words_tried_once_are_the_same_words(text: str) -> None:
    assert _PLAIN.sub(" ", text) == _NO_WORDS.sub(" ", text)


def test_letters_of_all_scripts_are_counted() -> None:
    assert _count_letters("ab é1 漢字𠀀 かなー 한글 ・") == (11, 3, 3, 2)
