"""What of a text is its answer: in a box, behind a mark, the last number; and which option it chooses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from sapwood.answers.numbers import find_numbers, narrow

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_HASHES = re.compile(r"####\s*([^\n]*)")
_SAYS = re.compile(r"(?:\b(?:answer|result) *(?:is|:|=)|答案 *(?:应?该?[是为]|:|：)) *[:：]?", re.IGNORECASE)
_ENDS = re.compile(r"[。;；\n]|\.(?=\s|$)|[,，](?= *(?:because|since|as|so|因为|所以|故))|$", re.IGNORECASE)


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}` that is closed."""
    for start in reversed(list(_BOXED.finditer(text))):
        depth = 1
        for at in range(start.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0) if text[at - 1] != "\\" else 0
            if depth == 0:
                return text[start.end() : at]
    return None


def behind_hashes(text: str) -> str | None:
    """What follows the last `####` on its line."""
    found = _HASHES.findall(text)
    return found[-1] if found else None


def last_number(text: str) -> str | None:
    """The last number, or the expression that stands in its place (`30-12`), which equals no number."""
    found = find_numbers(text)
    return found[-1].text if found else None


def first_line(text: str) -> str | None:
    """The first line that is not empty."""
    return next((line for line in text.splitlines() if line.strip()), None)


def stated(text: str) -> str | None:
    """What a text puts into a box, or else says to be its answer last."""
    found = boxed(text)
    if found is not None:
        return found
    said = list(_SAYS.finditer(text))
    if not said:
        return None
    begin = said[-1].end()
    end = _ENDS.search(text, begin)
    return text[begin : end.start() if end else None].strip() or None


_LOOKED_AT = 4000
"""Characters at each end of a text."""
_OPEN = r"(?:[\s*_`\"'“”‘’(\[{【「『<$]|\\(?:boxed|fbox|text|textbf|mathrm|mathbf|rm)\s*\{|\\[(\[])*+"
_NAMED = r"(?i:(?:the\s+)?(?:option|choice|letter|statement|alternative)s?\b|选项|选)?"
_CLOSED = r"[ *_`\"'”’)\]}】」』>$]*+"
_BOUND = r"(?![A-Za-z0-9'’]|[-+]\w|\+)"
_CAPITAL = rf"(?:[A-HJ]|I(?!\s+[a-z])){_BOUND}"
# An article is a small letter as well: what stands there must be closed, or end the text.
_SMALL = rf"[a-j]{_BOUND}(?=[)\]}}.,:;*_`\"'”’】」』$]|\s*(?:$|\n)|[\u3400-\u9fff。、；])"
_END = (
    r"(?="
    + _CLOSED
    + r"(?:[.。;；!,]|\Z|\n|(?i:because|since|as|are|were|both)\b|[两三四]?[个]?选?项|[两三四]者|都|均|皆))"
)
_LETTERS = (
    rf"(?P<letters>(?:[A-J]{{2,10}}(?![A-Za-z0-9'’])|{_CAPITAL}|{_SMALL})"
    rf"(?:{_CLOSED}(?:\s*[,、&/+]\s*(?:(?i:and|or)\s+)?|(?i:and|or)\s+|[和与或及]){_OPEN}{_NAMED}{_OPEN}"
    rf"[A-J]{_BOUND}(?={_CLOSED}(?:[,、&/+和与或及]|(?i:and|or)\s)?\s*(?:{_OPEN}[A-J]{_BOUND})*{_END}))*+)"
)
_CHOICE = rf"{_OPEN}{_NAMED}\s*{_OPEN}{_LETTERS}"
_HEDGE = (
    r"(?:\s*(?i:definitely|probably|most likely|clearly|likely|therefore|thus|simply|obviously|indeed|actually|hence"
    r"|still|either|both|not\s+\(?[A-J]\)?,?\s+but)\b[\s,]*)*"
)


def letter(number: int) -> str:
    """What an option is called: A, B, C …"""
    return chr(ord("A") + number)


def _compile(pattern: str) -> re.Pattern[str]:
    """The pattern, in which letters may be found in several places."""
    number = count(1)
    return re.compile(re.sub(r"\(\?P<letters>", lambda _: f"(?P<letters_{next(number)}>", pattern))


_STATEMENTS = _compile(
    # The answer is B; the correct option would be (B); Answer: **B**; Final answer, and B on the next line.
    r"(?:(?i:\banswers?\b|\b(?:correct|right|best|final)\s+(?:option|choice|letter|one)\b)"
    r"(?:(?!(?i:\bnot\b|cannot|n['’]t\b|\bnever\b))[^.。;!\n]){0,60}?"
    rf"(?:(?i:\b(?:is|are|be|was)\b)\s*:?|[:=]|->|→)|(?i:\bfinal answer)[\s*:#]*\n){_HEDGE}{_CHOICE}"
    # 答案是B, 正确选项为B.
    r"|(?:答案|正确的?(?:选项|说法|一?项)|最佳选项)[^。;!\n不非没错]{0,12}?(?:应?该?(?:选择?|[是为])|[:=])\s*[:]?"
    rf"{_CHOICE}|答案{_CHOICE}"
    # 故选B, 应选B, 本题选B.
    r"|(?<![不没无])(?:故|应|因此|所以|本题|此题|综上(?:所述)?|最终|最后|只能|我们?|可知|可得)[,:]?\s*(?:答案)?(?:应?该?)"
    rf"选择?(?:的?[是为])?\s*[:]?{_CHOICE}"
    rf"|\\(?:boxed|fbox)\s*{_CHOICE}"
)
_HINTS = _compile(
    rf"(?<![不没别若])(?<!如果|假如|不能|不应)选(?!项)择?(?:了|的是)?[:]?{_CHOICE}"
    rf"|而?是{_CHOICE}(?=[。.,;!]|\Z)"
    r"|(?i:\b(?:choose|pick|select|chose|selected|go with|going with|went with|opt for|must be|conclusion is))\b:?\s*"
    rf"{_CHOICE}"
    rf"|{_CHOICE}{_CLOSED}\s*(?:选?项)?(?:的?说法)?\s*(?i:(?:is|are|must be)\s+(?:also\s+)?(?:the\s+)?"
    r"(?:only\s+)?(?:correct|right|true|best)\b|(?:是|才是|为)?(?:正确|对的|符合题意|成立))"
    r"|(?i:\b(?:therefore|thus|so|hence)\b[,:]?\s*(?:it(?:'s| is)\s+)?)" + rf"{_CHOICE}(?={_CLOSED}(?:[.,;!]|\Z|\n))"
)
_FIRST = _compile(
    rf"{_CHOICE}(?:[)\].:;*_`\"'”’】」』$}}]|,|\s*\Z|\s*\n|[、。；]|\s+[-–—]\s|\s+(?i:because|since)\b|\s*(?:因为|由于))"
)
_LABELS = re.compile(r"^[\s*_#>(\[-]*([A-J])[)\].:、]", re.MULTILINE)
_WRONG = re.compile(
    rf"{_CLOSED}\s*:?\s*(?:选?项)?(?:的?说法)?\s*"
    r"(?i:(?:is|are|was|were|seems?|can(?:not| not)|could not|does not|doesn['’]t)?\s*"
    r"(?:wrong|incorrect|false|not|ruled out|be|eliminated|a common mistake)\b"
    r"|[均都皆]?[是为]?(?:错|不|太|有误|与.{0,8}不符|误))"
)
_ENCLOSED = re.compile(
    r"[(\[{【「]\s*([A-J])\s*[)\]}】」]|\*\*\s*([A-J])\s*[.)]?\s*\*\*|`\s*([A-J])\s*`|\\text\s*\{\s*([A-J])\s*\}"
)
_ALONE = re.compile(rf"(?<![A-Za-z0-9'’])({_CAPITAL})")
_ARTICLE = re.compile(r"A\s+(?!(?:is|was|and|or|because|since|as|by|with)\b)[a-z]")
_WHOLE = _compile(rf"{_CHOICE}{_CLOSED}[.。]?\s*")
_SPLIT = re.compile(
    rf"{_OPEN}(?:(?i:option|choice|answer|选项|答案)\s*(?i:is|是|为)?\s*:?\s*)?{_OPEN}(?P<letter>[A-Za-z])(?![A-Za-z'’])"
    r"(?P<stop>[)\].、:*】」}\s]*)"
)


def find_letter(text: str) -> str | None:
    """The option that a text chooses: the letter that it states, or begins with, or else the last that stands alone.

    Several letters in a row for several options. An article, a pronoun, and a letter that is said to be wrong do not
    count.

    >>> find_letter("答案是B选项，因为A和C都不符合题意。")
    'B'
    """
    text = _ends(text)
    return _stated(text) or _last(_HINTS, text) or _alone(text)


def stated_letter(text: str) -> str | None:
    """The option that a text states to be its answer; None where it has letters only in passing."""
    return _stated(_ends(text))


class Lettered(NamedTuple):
    """An answer that begins with a letter."""

    letter: str
    """A capital."""
    closed: bool
    """Whether a point, a parenthesis or the like closes it."""
    rest: str
    """What follows, such as the option's text."""


def split_letter(text: str) -> Lettered | None:
    """Splits `(B) Paris` and `Option B: Paris`; None for what begins in another way.

    >>> split_letter("(b) Paris")
    Lettered(letter='B', closed=True, rest='Paris')
    """
    text = narrow(text).strip()
    match = _SPLIT.match(text)
    return match and Lettered(match["letter"].upper(), bool(match["stop"].strip()), text[match.end() :].strip())


def chosen_option(text: str, options: Sequence[str], same: Callable[[str, str], bool]) -> int | None:
    """Which of the options an answer names, from 0: by its letter, or by its text as `same` compares the two.

    None where it names none, several, or a letter beside the text of another option.
    """
    found = split_letter(text)
    if found is not None and (place := ord(found.letter) - ord("A")) < len(options):
        alike = [number for number, option in enumerate(options) if found.rest and same(option, found.rest)]
        if place in alike or not found.rest:
            return place
        if found.closed:
            return None if alike else place
    alike = [number for number, option in enumerate(options) if same(option, text)]
    if alike:
        return alike[0] if len(alike) == 1 else None
    letter = stated_letter(text) or ""
    return ord(letter) - ord("A") if len(letter) == 1 and ord(letter) - ord("A") < len(options) else None


def _ends(text: str) -> str:
    """Beginning and end of a text, where answers stand, in narrow characters and without runs of white space."""
    if len(text) > 2 * _LOOKED_AT:
        text = f"{text[:_LOOKED_AT]}\n{text[-_LOOKED_AT:]}"
    return re.sub(r" *\n\s*", "\n", re.sub(r"[^\S\n]+", " ", narrow(text))).strip()


def _stated(text: str) -> str | None:
    if match := _WHOLE.fullmatch(text):
        return _joined(match)
    if found := _last(_STATEMENTS, text):
        return found
    match = _FIRST.match(text)
    if match is None or len(set(_LABELS.findall(text))) > 1 or _WRONG.match(text, _end(match)):
        return None
    return _joined(match)


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = [match for match in pattern.finditer(text) if not _WRONG.match(text, _end(match))]
    return _joined(found[-1]) if found else None


def _alone(text: str) -> str | None:
    enclosed = [match for match in _ENCLOSED.finditer(text) if not _WRONG.match(text, match.end())]
    if enclosed:
        return next(letter for letter in enclosed[-1].groups() if letter)
    found = [
        match[1]
        for match in _ALONE.finditer(text)
        if not _WRONG.match(text, match.end()) and not _ARTICLE.match(text, match.start())
    ]
    return found[-1] if found else None


def _letters(match: re.Match[str]) -> str:
    return next(group for name, group in match.groupdict().items() if group and name.startswith("letters"))


def _end(match: re.Match[str]) -> int:
    return next(match.end(name) for name, group in match.groupdict().items() if group and name.startswith("letters"))


def _joined(match: re.Match[str]) -> str:
    """The letters alone, in their order in the alphabet."""
    words = re.sub(r"(?i:\b(?:and|or|options?|choices?)\b)", "", _letters(match))
    return "".join(sorted(set(re.findall("[A-J]", words.upper()))))
