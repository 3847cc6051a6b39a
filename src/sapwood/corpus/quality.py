"""Rules by which the quality of a text is judged: those of Gopher, C4 and FineWeb, for scripts with and without spaces.

The rules were made for English web pages, and count words. A text in Han characters, kana, Thai or Khmer has no spaces
to count words by: there the same rules count letters with their marks, with limits that mean the same in Chinese
(`ALPHABETIC` and `UNSPACED` below stand side by side). Which holds for a text follows from its own characters. The
lists of stop words are English and Chinese: texts in other scripts than Latin and Han need none. Rules judge documents
as a whole; none edits one.

Sources: Gopher, arXiv 2112.11446, tables A1 and A2 and section A.1.1; C4, arXiv 1910.10683, section 2.2; FineWeb, arXiv
2406.17557, section 3.6.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datatrove.data import Document

from sapwood.corpus.block import Annotator, filter_out
from sapwood.corpus.characters import MARK, codes_of, table
from sapwood.corpus.ngrams import Tokens, is_unspaced, ngram_hashes, tokenise
from sapwood.recipe.data import RuleSet

UNSPACED_SHARE = 0.3
"""The share of letters of scripts without spaces among the tokens of a text from which on it counts as written so."""
STOP_SHARE = 0.5
"""The share of Latin letters, or of Han characters, among the letters of a text from which on it needs stop words."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules allow in texts of one kind of script. Words are tokens here: words, or single letters."""

    words: tuple[int, int]
    """Gopher: so many words at least and at most."""
    word_length: tuple[float, float]
    """Gopher: the mean length of a word, in characters."""
    lettered: float
    """Gopher: the least share of words with a letter in them; without spaces, of letters among visible characters."""
    stop_words: frozenset[str]
    """Gopher: of these, at least two must occur."""
    frequent_ngrams: tuple[tuple[int, float], ...]
    """Gopher: n, and the greatest share of the characters that stand in the most frequent n-gram."""
    repeated_ngrams: tuple[tuple[int, float], ...]
    """Gopher: n, and the greatest share of the characters that stand in n-grams that were there before."""
    line_words: int
    """C4: a line with fewer words is no sentence."""
    short_line: int
    """FineWeb: lines of up to so many characters are short."""
    line_breaks: float
    """FineWeb: the greatest number of line breaks for each word."""


ALPHABETIC = Limits(
    words=(50, 100_000),
    word_length=(3, 10),
    lettered=0.8,
    stop_words=frozenset(["the", "be", "to", "of", "and", "that", "have", "with"]),
    frequent_ngrams=((2, 0.20), (3, 0.18), (4, 0.16)),
    repeated_ngrams=((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)),
    line_words=3,
    short_line=30,
    line_breaks=0.3,
)
UNSPACED = Limits(
    words=(80, 170_000),  # a Chinese word has about 1.7 characters, a Thai one about 3.5 letters with their marks
    word_length=(0, 1000),
    lettered=0.6,  # punctuation takes a sixth of Chinese prose, and stands by itself
    stop_words=frozenset("的了是在和有不这与为"),
    frequent_ngrams=((4, 0.20), (5, 0.18), (7, 0.16)),
    repeated_ngrams=((9, 0.15), (10, 0.14), (12, 0.13), (14, 0.12), (15, 0.11), (17, 0.10)),
    line_words=5,
    short_line=15,
    line_breaks=0.18,
)

SENTENCE_ENDS = tuple(".!?\"'。！？”’」』…।॥؟۔።។။།")
_SENTENCES = re.compile(r"[.!?](?:\s|$)|[。！？।॥؟۔።។။།]")
_HAN, _LATIN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]+"), re.compile("[A-Za-z\u00c0-\u024f]+")
_ELLIPSES = ("...", "…")
_BULLETS = tuple("•-*·●■◆")


class TextMeasures:
    """What the rules look at in a text, each measured when it is asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.limits = UNSPACED if self.unspaced_share >= UNSPACED_SHARE else ALPHABETIC

    @cached_property
    def tokens(self) -> Tokens:
        return tokenise(self.text)

    @property
    def words(self) -> int:
        return len(self.tokens.hashes)

    @cached_property
    def unspaced_share(self) -> float:
        return float(is_unspaced(self.text, self.tokens).mean()) if self.words else 0.0

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Characters of every word."""
        return self.tokens.ends - self.tokens.starts

    @cached_property
    def lines(self) -> list[str]:
        """The lines with something in them."""
        return [line for line in self.text.splitlines() if line.strip()]

    @cached_property
    def paragraphs(self) -> list[str]:
        return [part for part in re.split(r"\n{2,}", self.text.strip()) if part]

    def share_of_lines(self, wanted: Callable[[str], bool]) -> float:
        return sum(map(wanted, self.lines)) / max(1, len(self.lines))

    def lettered_share(self) -> float:
        if self.limits is UNSPACED:
            visible = "".join(self.text.split())
            marks = int(((table().kinds[codes_of(visible)] & MARK) != 0).sum())
            return (sum(map(str.isalpha, visible)) + marks) / max(1, len(visible))
        words = self.text.split()
        return sum(any(map(str.isalpha, word)) for word in words) / max(1, len(words))

    def lacks_stop_words(self) -> bool:
        """Whether fewer than two different stop words occur in a text of the script that they are written in."""
        pattern = _HAN if self.limits is UNSPACED else _LATIN
        letters = sum(map(str.isalpha, self.text))
        if sum(map(len, pattern.findall(self.text))) < STOP_SHARE * letters:
            return False
        found = set(self.text) if self.limits is UNSPACED else set(re.findall(r"[a-z]+", self.text.lower()))
        return len(found & self.limits.stop_words) < 2

    def frequent_share(self, n: int) -> float:
        """The share of the characters that stand in the most frequent n-gram."""
        hashes = ngram_hashes(self.tokens.hashes, n)
        if not len(hashes):
            return 0.0
        _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        top = int(counts.argmax())
        length = int(self.lengths[first[top] : first[top] + n].sum())
        return int(counts[top]) * length / len(self.text) if counts[top] > 1 else 0.0

    def repeated_share(self, n: int) -> float:
        """The share of the characters that stand in n-grams that were there before, each counted once."""
        hashes = ngram_hashes(self.tokens.hashes, n)
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
        covered = np.zeros(self.words + 1, np.int64)
        np.add.at(covered, again, 1)
        np.add.at(covered, again + n, -1)
        return float(self.lengths[np.cumsum(covered)[:-1] > 0].sum()) / max(1, len(self.text))

    def sentences(self) -> int:
        """Sentences in lines that end as sentences do and have some words."""
        ended = [line for line in map(str.strip, self.lines) if line.endswith(SENTENCE_ENDS)]
        enough = [
            line
            for line in ended
            if (len(line) if self.limits is UNSPACED else len(line.split())) >= self.limits.line_words
            and not line.endswith(_ELLIPSES)
        ]
        return sum(max(1, len(_SENTENCES.findall(line))) for line in enough)


def judge(text: str, rule_sets: Sequence[RuleSet]) -> str | None:
    """The first rule that a text breaks, as `set: rule`; None where it keeps them all."""
    measures = TextMeasures(text)
    return next((f"{name}: {rule}" for name in rule_sets for rule in _RULES[name](measures)), None)


class QualityCheck(Annotator):
    """Sets aside documents that break a rule, and says which."""

    columns: ClassVar[dict[str, pa.DataType]] = {"rule": pa.string()}

    def __init__(self, rule_sets: Sequence[RuleSet]) -> None:
        super().__init__()
        self.rule_sets = list(rule_sets)

    def annotate(self, document: Document) -> None:
        rule = judge(document.text, self.rule_sets)
        document.metadata["rule"] = rule
        if rule is not None:
            filter_out(document, rule)


def _gopher_quality(text: TextMeasures) -> Iterator[str]:
    least, most = text.limits.words
    if text.words < least:
        yield "too few words"
    if text.words > most:
        yield "too many words"
    shortest, longest = text.limits.word_length
    if text.words and not shortest <= text.lengths.mean() <= longest:
        yield "words too short or too long"
    if text.text.count("#") > 0.1 * text.words:
        yield "too many # signs"
    if sum(map(text.text.count, _ELLIPSES)) > 0.1 * text.words:
        yield "too many ellipses"
    if text.share_of_lines(lambda line: line.lstrip().startswith(_BULLETS)) > 0.9:
        yield "too many bullet lines"
    if text.share_of_lines(lambda line: line.rstrip().endswith(_ELLIPSES)) > 0.3:
        yield "too many lines end in an ellipsis"
    if text.lettered_share() < text.limits.lettered:
        yield "too few words with letters"
    if text.lacks_stop_words():
        yield "too few stop words"


def _gopher_repetition(text: TextMeasures) -> Iterator[str]:
    # Lines such as `}` and ``` repeat in all texts with code, and say nothing.
    lines = [line for line in text.lines if any(map(str.isalpha, line))]
    for name, parts in (("paragraphs", text.paragraphs), ("lines", lines)):
        count, characters = _repeated(parts)
        if count > 0.3 * len(parts):
            yield f"repeated {name}"
        if characters > 0.2 * len(text.text):
            yield f"characters in repeated {name}"
    if any(text.frequent_share(n) > limit for n, limit in text.limits.frequent_ngrams):
        yield "one phrase too often"
    if any(text.repeated_share(n) > limit for n, limit in text.limits.repeated_ngrams):
        yield "repeated phrases"


def _c4(text: TextMeasures) -> Iterator[str]:
    if "lorem ipsum" in text.text.lower():
        yield "lorem ipsum"
    if "{" in text.text:
        yield "curly bracket"
    if text.sentences() < 5:
        yield "too few sentences"


def _fineweb(text: TextMeasures) -> Iterator[str]:
    if text.share_of_lines(lambda line: line.rstrip().endswith(SENTENCE_ENDS)) <= 0.12:
        yield "too few lines end in punctuation"
    if text.share_of_lines(lambda line: len(line) <= text.limits.short_line) >= 0.67:
        yield "too many short lines"
    if _repeated(text.lines)[1] >= 0.1 * len(text.text):
        yield "characters in repeated lines"
    if text.text.count("\n") > text.limits.line_breaks * text.words:
        yield "too many line breaks"


_RULES: dict[RuleSet, Callable[[TextMeasures], Iterator[str]]] = {
    "gopher-quality": _gopher_quality,
    "gopher-repetition": _gopher_repetition,
    "c4": _c4,
    "fineweb": _fineweb,
}


def _repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many of the parts were there before, and their characters."""
    again = {part: count - 1 for part, count in Counter(parts).items() if count > 1}
    return sum(again.values()), sum(len(part) * count for part, count in again.items())
