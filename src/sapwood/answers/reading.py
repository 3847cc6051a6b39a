"""Reads a short answer: a number with its unit, a formula, or words, written in whatever way people and models do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sapwood.answers.numbers import Number, narrow, number_at_start, parse_number
from sapwood.answers.units import Unit, parse_unit

LONGEST_FORMULA = 1000
"""Characters. What is longer is taken as words."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says."""

    words: str
    """All of it, in lower case and without what does not count."""
    number: Number | None = None
    formula: str = ""
    """Of a number or a formula: LaTeX, without the unit. Of `x = 5 m` it is `5`."""
    unit: Unit | None = None
    unit_is_sure: bool = True
    """`5m` may be five metres or five times m: it is not the same as `5`."""


def read_answer(text: str) -> Reading:
    """Reads an answer. What is neither a number nor a formula is words."""
    bare = _bare(text)
    unmarked = _MARKS.sub("", bare).strip()
    words = _words(unmarked)
    if len(bare) > LONGEST_FORMULA:
        return Reading(words)
    if (number := parse_number(bare)) is not None:  # with its currency, by which $1.5M is a number
        return Reading(words, number, _latex(bare, number))
    spelled, about = _spell(unmarked), False
    if match := _ABOUT.match(spelled):
        spelled, about = spelled[match.end() :], True
    if (match := _ASSIGNMENT.match(spelled)) and _quantity(spelled[match.end() :]):
        spelled = spelled[match.end() :]
    found = _quantity(spelled) or ((spelled, None) if _is_formula(spelled) else None)
    if found is None:
        return Reading(words)
    formula, unit = found
    if (number := parse_number(formula)) is not None:
        formula = _latex(formula, number)
        number = Number(number.value, number.exact and not about)
    glued = unit is not None and re.search(r"\d[A-Za-z]$", spelled) is not None
    return Reading(words, number, formula, unit, unit_is_sure=not glued)


def _bare(text: str) -> str:
    """Without what stands around an answer: signs of LaTeX and Markdown, `The answer is`, a full stop."""
    text = re.sub(r"\s+", " ", narrow(text).translate(_SPELLED)).strip()
    before = None
    while before != text:
        before = text
        text = _EDGES.sub("", text)
        for wrapped in _WRAPPED:
            text = wrapped.sub(r"\1", text)
        text = _LABEL.sub("", text)
    return _PERCENT.sub(r"\1%", text)


def _latex(written: str, number: Number) -> str:
    """A number for math-verify: as it is written where that is LaTeX, and worked out where it is 12.5万 or 1'234."""
    return written if _IN_LATEX.fullmatch(written) else number.latex


def _spell(text: str) -> str:
    """In LaTeX, what people write in Unicode or as in a programming language."""
    text = _SUPERSCRIPTS.sub(lambda match: "^{" + match[0].translate(_LOWERED) + "}", text)
    text = _SUBSCRIPTS.sub(lambda match: "_{" + match[0].translate(_LOWERED) + "}", text)
    text = text.translate(_SIGNS)
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return re.sub(r"\s+", " ", text).strip()


def _quantity(text: str) -> tuple[str, Unit | None] | None:
    """A number or a formula, and its unit, which must be there where it is a formula."""
    if parse_number(text) is not None:
        return text, None
    if (found := number_at_start(text)) is not None and (unit := parse_unit(text[found[1] :])) is not None:
        return text[: found[1]], unit
    for match in _BEFORE_UNIT.finditer(text):
        value, rest = text[: match.end()], text[match.end() :]
        if (parse_number(value) is not None or _is_formula(value)) and (unit := parse_unit(rest)) is not None:
            return value, unit
    return None


def _is_formula(text: str) -> bool:
    rest = re.sub(r"\\(?:begin|end) ?\{[a-z]+\*?\}|\\[A-Za-z]+", " ", text)
    return (
        rest.isascii()
        and not re.search("[A-Za-z]{4}", rest)
        and not _RANGE.fullmatch(text)
        and not _NAME.fullmatch(text)
        and re.search(r"[\d\\=+^/*<>|]", text) is not None
    )


def _words(text: str) -> str:
    words = _TEXT.sub(r"\1", text.translate(_IN_WORDS).translate(_LOWERED).casefold())
    for pattern, replacement in _NORMALISED:
        words = pattern.sub(replacement, words)
    return words.strip()


_SPELLED = str.maketrans({"℃": "°C", "℉": "°F"})
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n0123456789+-n")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPTS = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+")
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
        "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split(),
        strict=True,
    )
)
_IN_WORDS = dict.fromkeys(map(ord, "‐‑‒–—―~～"), "-") | {ord(sign): name for sign, name in _GREEK.items()}
_COMMANDS = {
    **_GREEK,
    "×": "times", "·": "cdot", "⋅": "cdot", "÷": "div", "≤": "le", "≥": "ge", "≠": "ne", "±": "pm", "√": "sqrt",
    "∞": "infty", "∪": "cup", "∩": "cap", "∈": "in", "≈": "approx", "∅": "emptyset",
}  # fmt: skip
_FRACTIONS = {"½": "1}{2", "⅓": "1}{3", "⅔": "2}{3", "¼": "1}{4", "¾": "3}{4"}
_SIGNS = str.maketrans(
    {sign: f"\\{command} " for sign, command in _COMMANDS.items()}
    | {sign: f"\\frac{{{inside}}}" for sign, inside in _FRACTIONS.items()}
    | dict.fromkeys("¥€£", "")
)
_FUNCTIONS = "arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|infty|theta|alpha|beta|pi"
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox|operatorname|rm)\s*\{([^{}]*)\}")
_REWRITTEN = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (_TEXT.pattern, r" \1 "),
        (r",\\!", ","),
        (r"(?<!\\)\\[,;:! ]|~|\\quad\b|\\qquad\b", " "),
        (r"\{,\}", ","),
        (r"\\[dtc]frac\b", r"\\frac"),
        (r"\^\s*\\circ\b|\^\s*\{\s*\\circ\s*\}|\\degree\b", "°"),
        (r"\\%", "%"),
        (r"\*\*", "^"),
        (rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])", r"\\\1"),
        (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"\\sqrt\s*(\d+)", r"\\sqrt{\1}"),
        (r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\w.])", r"\1\\times 10^{\2}"),
        (r"\^\s*\(?(-?\d+)\)?", r"^{\1}"),
        (r"\s*(?:\bor\b|\band\b|[或和与及、;])\s*", ", "),
    )
)
_EDGES = re.compile(r"^(?:[\s`\"'“”‘’。;,、]|\.(?!\d))+|[\s`\"'“”‘’。.;,、]+$")
_PERCENT = re.compile(r"百分之([\d.零〇一二两三四五六七八九十百点]+)")
_LABEL = re.compile(r"^(?:(?:the )?(?:final )?answer(?: is|:| is:)|答案(?:[是为]:?|:)) *", re.IGNORECASE)
_ABOUT = re.compile(r"(?:approximately|approx\.?|about|roughly|\\approx|~|大约|约为|约) *", re.IGNORECASE)
_WRAPPED = (re.compile(r"^\*\*(.*)\*\*$"), re.compile(r"^\\boxed *\{(.*)\}$"))
_MARKS = re.compile(r"(?:\b(?:US|HK|NT))?\\?\$|(?<!\\)\\[()\[\]]|\\left(?![a-z])|\\right(?![a-z])|\\displaystyle\b")
_ASSIGNMENT = re.compile(
    r"(?:[A-Za-z]{1,3}|\\[A-Za-z]+ ?)(?:_(?:\w|\{ ?\w+ ?\}))?(?: ?\( ?[A-Za-z] ?\))? *(?:=|\\approx)(?!=) *"
)
_IN_LATEX = re.compile(r"[-+]? ?(?:(?:\d+(?:\.\d+)?|\.\d+)(?: ?\\(?:times|cdot) ?10 ?\^\{-?\d+\})?|10 ?\^\{-?\d+\})")
_BEFORE_UNIT = re.compile(r"(?:[\d)}\]]|\\pi)(?= ?(?:[A-Za-zμΩÅ°%‰\u4e00-\u9fff]|\\(?:mu|Omega|%)))")
_RANGE = re.compile(r"\d[\d.]*(?: ?[-–—~～] ?\d[\d.]*)+")
_NAME = re.compile(r"[A-Za-z][\w{}()]*(?:\^?\{?\d*[+-]\}?)?")
"""Of a substance, an ion or anything else: `H_2O`, `Ca^{2+}`."""
_NORMALISED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\^\{?(\d*[+-])\}?", r"\1"),
        (r"[\\{}_]", ""),
        (r"[$*`\"'“”‘’()\[\]《》「」;:!?；：！？。、]", " "),
        (r"(?<!\d)[.,，]|[.,，](?!\d)", " "),
        (r"(?<=[^\W\d]) ?- ?(?=[^\W\d])", " "),
        (r"\b(?:a|an|the) +(?=\w)", ""),
        (r"\s+", " "),
        (r"(?<=[\u4e00-\u9fff]) | (?=[\u4e00-\u9fff])", ""),
    )
)
