"""What makes an item unusable whatever its subject: echoes of the prompt, loops, other languages, advertisements."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

import numpy as np

from sapwood.answers.find import stated_letter
from sapwood.answers.numbers import find_numbers
from sapwood.corpus.language import identify
from sapwood.corpus.ngrams import ngram_hashes, tokenise
from sapwood.corpus.quality import TextMeasures
from sapwood.synthesis.item import Item
from sapwood.synthesis.prompt import Prompt, prose, without_code


def overlap(text: str, other: str, ngram: int) -> float:
    """The share of a text's tokens that stand in runs of `ngram` tokens which `other` has too.

    Tokens are words or single Han characters, without case, punctuation and white space. A text of fewer tokens counts
    as one run; one without any has no overlap.
    """
    tokens = tokenise(text).hashes
    ngram = min(ngram, len(tokens))
    if not ngram:
        return 0.0
    common = np.isin(ngram_hashes(tokens, ngram), ngram_hashes(tokenise(other).hashes, ngram))
    covered = np.zeros(len(tokens), bool)
    for place in range(ngram):
        covered[place : len(tokens) - ngram + 1 + place] |= common
    return float(covered.mean())


LEAKED_TOKENS = {"zh": 14}
"""So many tokens in a row that the prompt has too are no coincidence, by language; in others 8 words."""
REPEATED_SHARE = 0.65
"""The share of word characters in 5-grams that were there before. Of 9700 stretches of 300 to 2000 characters of
textbooks, forums and encyclopedias five have more, matrices and tables all."""
QUOTED_SHARE = 0.8
"""The least share of the evidence that stands in the snippet, in 4-grams."""
LEAST_TOKENS = {"question": 4, "reasoning": 3}
MOST_CHARACTERS = {"question": 4000, "answer": 400, "evidence": 1500}
ROUNDED = 0.01
"""Up to so much may two numbers differ that are called alike here: an answer to two digits, of a solution to three."""

_SCRIPT_LETTERS, _SPELLED_LETTERS = 20, 120
"""Letters of prose from which on a language is told by its script, and by the classifier."""
_SURE = 0.7
_SCRIPTS = ("zh", "ja", "ko")

_ADDRESS = re.compile(
    r"https?://(?!(?:www\.)?example\.)|\bwww\.(?!example\.)|[\w.+-]+@(?!example\.)[\w-]+\.\w{2,}"
    r"|\b(?!example\.)[\w-]{2,}\.(?:com|cn|org)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"<[|｜][^|｜>\n]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|</?think>|</?passage>"
)
_ITSELF = re.compile(
    r"\bas an? (?:AI\b|artificial intelligence|(?:large )?language model)"
    r"|\bI (?:cannot|can't|can not|am unable to) (?:help|assist|fulfil|comply|provide|create|write|generate)"
    r"|\A(?:I'm sorry|I am sorry|Sorry,|I apologi[sz]e)"
    r"|作为一?[个名款]?(?:人工智能|AI|大?语言模型)|(?:抱歉|对不起)，?我(?:无法|不能)",
    re.IGNORECASE,
)
_LOOP = re.compile(r"([^\s\-=_|.:*·…+]\S{0,19}?)\1{29}", re.DOTALL)
_OTHERS = re.compile(
    r"\b(?:all|none|both|neither|any|two) of the (?:above|other)|\bboth (?:option )?(?-i:\(?[A-J]\)? and \(?[A-J]\b)"
    r"|以上(?:都|皆|均|全|选项)|都不(?:对|正确)$|^(?-i:[A-J]和[A-J])",
    re.IGNORECASE,
)
_OPTION_LINES = re.compile(r"^\s*[-*]*\s*\(?[A-D][.)、．:：]", re.MULTILINE)


def fault(item: Item, prompt: Prompt) -> str | None:
    """The first fault of an item, as a phrase that can be counted; None where it has none."""
    return next((name for name, has in _FAULTS.items() if has(item, prompt)), None)


def _parts(item: Item) -> list[str]:
    """What is to be read. A program may have addresses and the like in it."""
    return [item.question, "" if item.tests else item.answer, item.reasoning, *item.choices]


def _is_placeholder(item: Item, prompt: Prompt) -> bool:
    """Whether a part says what belongs there, or a piece of that."""
    for name, section in prompt.content.sections.items():
        written = getattr(item, name, "")
        text, about = written if isinstance(written, str) else "\n".join(written), section.about
        if _tokens(about) > 3 and overlap(about, text, _tokens(about)) == 1:
            return True
        if _tokens(text) > 2 and overlap(text, about, _tokens(text)) == 1:
            return True
    return False


def _repeats_prompt(item: Item, prompt: Prompt) -> bool:
    ngram = LEAKED_TOKENS.get(prompt.language, 8)
    known = _wording(prompt.wording, ngram)
    parts = [*_parts(item), item.evidence]
    return any(not known.isdisjoint(ngram_hashes(tokenise(part).hashes, ngram).tolist()) for part in parts)


def _too_short(item: Item, prompt: Prompt) -> bool:
    return _tokens(item.question) < LEAST_TOKENS["question"] or (
        "reasoning" in prompt.content.sections and _tokens(item.reasoning) < LEAST_TOKENS["reasoning"]
    )


def _too_long(item: Item, _: Prompt) -> bool:
    lengths = {"question": item.question, "answer": "" if item.tests else item.answer, "evidence": item.evidence}
    return any(len(text) > MOST_CHARACTERS[name] for name, text in lengths.items())


def _has_equal_parts(item: Item, _: Prompt) -> bool:
    parts = [" ".join(part.split()) for part in (item.question, item.reasoning, item.answer) if part]
    return len(set(parts)) < len(parts)


def _loops(item: Item, _: Prompt) -> bool:
    if any(map(_LOOP.search, _parts(item))):
        return True
    for measures in map(TextMeasures, map(without_code, (item.question, item.reasoning))):
        if measures.repeated_share(5) * len(measures.text) > REPEATED_SHARE * measures.lengths.sum():
            return True
    return False


def _in_another_language(item: Item, _: Prompt) -> bool:
    parts = [prose(part) for part in (item.question, item.reasoning, "" if item.tests else item.answer)]
    for part in parts:
        if _letters(part) >= _SCRIPT_LETTERS:
            found = identify(part).language
            if found != item.language and (found in _SCRIPTS or item.language in _SCRIPTS):
                return True
    whole = "\n".join(parts[:2])
    if _letters(whole) < _SPELLED_LETTERS:
        return False
    spelled = identify(whole)
    return spelled.confidence >= _SURE and spelled.language != item.language


def _has_address(item: Item, _: Prompt) -> bool:
    return any(_ADDRESS.search(without_code(part)) for part in _parts(item))


def _has_chat_markup(item: Item, _: Prompt) -> bool:
    return any(_MARKUP.search(without_code(part)) for part in _parts(item))


def _speaks_of_itself(item: Item, _: Prompt) -> bool:
    return any(map(_ITSELF.search, _parts(item)))


def _is_not_quoted(item: Item, _: Prompt) -> bool:
    return bool(item.evidence) and overlap(item.evidence, item.snippet, 4) < QUOTED_SHARE


def _options_on_options(item: Item, _: Prompt) -> bool:
    return any(map(_OTHERS.search, item.choices))


def _options_in_question(item: Item, _: Prompt) -> bool:
    return bool(item.choices) and len(_OPTION_LINES.findall(item.question)) > 1


def _ends_otherwise(item: Item, _: Prompt) -> bool:
    """Whether the solution says another letter, or has none of the answer's numbers."""
    if item.choices:
        return (stated_letter(item.reasoning) or item.answer) != item.answer
    wanted, given = _numbers(item.answer), _numbers(f"{item.reasoning}\n{item.evidence}")
    return not item.tests and bool(wanted and given) and not any(_same(one, other) for one in wanted for other in given)


_FAULTS: dict[str, Callable[[Item, Prompt], bool]] = {
    "a placeholder": _is_placeholder,
    "the prompt's own words": _repeats_prompt,
    "chat markup": _has_chat_markup,
    "the model speaks of itself": _speaks_of_itself,
    "an address": _has_address,
    "too short": _too_short,
    "too long": _too_long,
    "equal parts": _has_equal_parts,
    "repeats itself": _loops,
    "another language": _in_another_language,
    "evidence not in the passage": _is_not_quoted,
    "an option about options": _options_on_options,
    "options in the question": _options_in_question,
    "solution and answer disagree": _ends_otherwise,
}


def _tokens(text: str) -> int:
    return len(tokenise(text).hashes)


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


@lru_cache(maxsize=1 << 12)
def _wording(text: str, ngram: int) -> frozenset[int]:
    return frozenset(ngram_hashes(tokenise(text).hashes, ngram).tolist())


def _numbers(text: str) -> list[Fraction]:
    return [abs(found.number.value) for found in find_numbers(text) if found.number is not None]


def _same(one: Fraction, other: Fraction) -> bool:
    """Whether two numbers are the same but for rounding and powers of ten: 25% is 0.25, and 3.2e3 is 3200."""
    if not one or not other:
        return one == other
    quotient = one / other
    turns = (math.log10(quotient.numerator) - math.log10(quotient.denominator)) % 1
    return min(turns, 1 - turns) < math.log10(1 + ROUNDED)
