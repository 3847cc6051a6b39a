"""Numbers as people and models write them: one grammar, one parser, one tolerance.

Signs (`−5`, `-$40`, `负五`), digits of any script, thousands (`1,234`, `12 500`, `1{,}234`), exponents (`1.2e3`,
`1.2 × 10^3`), fractions (`3/4`, `½`, `\\frac34`), magnitudes (`1.2 million`, `12.5万`) and Chinese numerals. Dates,
times and what has an operator in it (`30-12`, `3×4`) are no numbers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

TOLERANCE = Fraction(1, 400)
"""By what share two numbers may differ that are the same but for rounding: thirds in three digits (1.33 for 4/3), g as
9.8, and the charge of the electron as 1.6e-19 lie within it; 8.7 for 8.6667 and 3.15 for 3.14 do not."""

_MOST_DIGITS = 300
_MOST_EXPONENT = 999


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written."""

    value: Fraction
    exact: bool
    """An integer or a fraction, which nobody rounded. `43.0` is 43."""

    def equals(self, other: Number, factor: Fraction = Fraction(1)) -> bool:
        """Whether they are the same, of which this one is `factor` times as large as it is written.

        Exact numbers must be equal, and so must an integer and whatever is written in the same unit; all others may
        differ by `TOLERANCE` of the larger one.
        """
        mine, theirs = self.value * factor, other.value
        whole = factor == 1 and (self._is_integer or other._is_integer)
        if (self.exact and other.exact) or whole:
            return mine == theirs
        return abs(mine - theirs) <= TOLERANCE * max(abs(mine), abs(theirs))

    @property
    def _is_integer(self) -> bool:
        return self.exact and self.value.denominator == 1

    @property
    def latex(self) -> str:
        """The number in LaTeX."""
        value = self.value
        return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in a text in the place of a number."""

    text: str
    """As it stands there, in narrow characters."""
    number: Number | None
    """None for an expression such as `30-12`, and for what is too large to be worked out."""


def narrow(text: str) -> str:
    """The text with digits of every script, signs, dashes, spaces and full-width forms as ASCII has them."""
    return text.translate(_NARROW)


def parse_number(text: str) -> Number | None:
    """The number that a text is; None where it is none, or has anything beside the number and its currency.

    A sign of per cent is not part of it: it is a unit.
    """
    text = narrow(text).strip()
    if (digit := text.lstrip("负負")) in _DIGITS or digit == "十":
        return Number(Fraction(_DIGITS.get(digit, 10)) * (-1 if digit != text else 1), exact=True)
    match = _NUMBER.fullmatch(text) or _NUMBER.fullmatch(text.removesuffix("."))
    return None if match is None else _value(match)


def number_at_start(text: str) -> tuple[Number, int] | None:
    """The number with which a narrow text begins, and where it ends."""
    match = _NUMBER.match(text)
    number = None if match is None else _value(match)
    return None if match is None or number is None else (number, match.end())


def find_numbers(text: str) -> list[Found]:
    """All numbers in a text, in order, with the signs of per cent behind them.

    Chinese numerals of one character count only where the text states them (`共五个`, `答案是三`), since `一个` says
    nothing about a count; and only where there is no other number.
    """
    text = narrow(text)
    return list(_found(text)) or [
        Found(match["digit"], parse_number(match["digit"])) for match in _SINGLE.finditer(text)
    ]


def _found(text: str) -> Iterator[Found]:
    position = 0
    while (match := _TOKEN.search(text, position)) is not None:
        position = match.end()
        if match["other"]:
            continue
        start = _start(match, text)
        number: Number | None = None
        joined = text[max(0, start - 2) : start].strip(" ").endswith("±") or _RAISED.match(text, position) is not None
        # What is behind an operator belongs to the same expression.
        while (more := _JOINED.match(text, position)) and (following := _NUMBER.match(text, more.end())):
            joined, position = True, following.end()
        if not joined:
            number = _value(match, signed=start == match.start())
        if percent := _PERCENT.match(text, position):
            position = percent.end()
        yield Found(text[start:position].strip(), number)


def _start(match: re.Match[str], text: str) -> int:
    """Where the number begins: behind a dash that is no sign but that of a list, a name or a subtraction."""
    sign, before = match["sign"] or "", text[max(0, match.start() - 8) : match.start()]
    if sign.strip() not in ("-", "+"):
        return match.start()
    is_sign = before.rstrip(" ").endswith(_BEFORE_SIGN) if sign.endswith(" ") else not _BEFORE_DASH.search(before)
    return match.start() if is_sign else match.end("sign")


def _value(match: re.Match[str], *, signed: bool = True) -> Number | None:
    sign = -1 if signed and (match["sign"] or "").strip() not in ("", "+") else 1
    if match["inner"] or match["inside"]:
        sign = -sign
    number = _magnitude(match)
    return None if number is None else Number(sign * number.value, number.exact)


def _magnitude(match: re.Match[str]) -> Number | None:
    if written := match["power_alone"] or match["raised_alone"] or match["said_alone"]:
        power = _exponent(written)
        return None if power is None else Number(Fraction(10) ** power, exact=True)
    if match["vulgar"]:
        return _mixed(match["whole_v"], Fraction(*_VULGAR[match["vulgar"]]))
    for kind in ("l", "p"):
        if match[f"over_{kind}"]:
            return _mixed(match[f"whole_{kind}"], _fraction(match[f"over_{kind}"], match[f"under_{kind}"]))
    if match["over_s"]:
        return _mixed(match["whole_l"], _fraction(match["over_s"], match["under_s"]))
    if match["parts"]:
        below, above = chinese_number(match["parts"]), chinese_number(match["of_parts"])
        return Number(above / below, exact=True) if above is not None and below else None
    if match["chinese"]:
        value = chinese_number(match["chinese"])
        return None if value is None else Number(value, exact=value.denominator == 1)
    return _decimal(match)


def _mixed(whole: str | None, part: Fraction | None) -> Number | None:
    value = _integer(whole or "0")
    return None if part is None or value is None else Number(value + part, exact=True)


def _decimal(match: re.Match[str]) -> Number | None:
    written = match["european"]
    digits = written.replace(".", "").replace(",", ".") if written else re.sub(r"[^\d.]", "", match["digits"])
    if len(digits) > _MOST_DIGITS:
        return None
    value = Fraction(digits)
    if exponent := match["power"] or match["raised"] or match["said"] or match["e"]:
        power = _exponent(exponent)
        return None if power is None else Number(value * Fraction(10) ** power, exact=False)
    value *= _WORDS.get((match["word"] or match["letter"] or "").casefold(), 1)
    if match["scale"]:
        value *= chinese_number("一" + match["scale"]) or 1
    return Number(value, exact="." not in digits or value.denominator == 1)


def _fraction(over: str, under: str) -> Fraction | None:
    above, below = _integer(over), _integer(under)
    return Fraction(above, below) if above is not None and below else None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _exponent(written: str) -> int | None:
    power = written.translate(_LOWERED)
    return int(power) if len(power) <= 5 and abs(int(power)) <= _MOST_EXPONENT else None


def chinese_number(text: str) -> Fraction | None:
    """What a Chinese numeral is worth, which may have Arabic digits in it: `一百零五`, `三点五`, `12.5万`, `3亿5千万`.

    None for what is none, such as `三四十` (thirty or forty) and `千万` (by all means).
    """
    if len(text) > _MOST_DIGITS:
        return None
    if re.fullmatch(rf"[{_DIGIT}]{{2,}}", text):
        # Said digit by digit: 二〇二四.
        return Fraction("".join(str(_DIGITS[sign]) for sign in text)) if re.search("[零〇○]", text) else None
    total, section, digit, last, zero = Fraction(0), Fraction(0), None, 1, False
    for match in _CHINESE_PART.finditer(text):
        part = match[0]
        if (unit := _UNITS.get(part)) is not None:
            if digit is None and not section and not total:
                digit = Fraction(1)  # 十五, 百分之三
            if unit < 10**4:
                section += (digit or 0) * unit
            else:
                # 亿 multiplies the 万 before it as well: 1.2万亿.
                section, kept = section + (digit or 0), total if unit == 10**4 else Fraction(0)
                total = kept + (section + total - kept) * unit
                section = Fraction(0)
            digit, last, zero = None, unit, False
        elif part in "零〇○" and len(text) > 1:
            zero = True
        elif digit is not None:
            return None  # 三四十 is thirty or forty
        else:
            digit = _spoken(part)
    # 一百五 is 150, and 一百零五 is 105.
    scale = last // 10 if digit is not None and last >= 100 and not zero and digit < 10 else 1
    return total + section + (digit or 0) * scale


def _spoken(part: str) -> Fraction | None:
    whole, point, rest = part.partition("点")
    if not point:
        return Fraction(_DIGITS[part]) if part in _DIGITS else Fraction(part)
    digits = "".join(str(_DIGITS[sign]) for sign in rest)
    above = "".join(str(_DIGITS[sign]) for sign in whole)
    return Fraction(f"{above}.{digits}")


class _Narrow(dict[int, int | str]):
    """What a character is in ASCII, worked out when it is first met."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        found: int | str = code
        if 0xFF01 <= code <= 0xFF5E:
            found = code - 0xFEE0
        elif (category := unicodedata.category(character)) == "Nd":
            found = str(unicodedata.decimal(character))
        elif category == "Zs":
            found = " "
        elif category == "Cf":
            found = ""
        self[code] = found
        return found


_NARROW = _Narrow(
    dict.fromkeys(map(ord, "‐‑‒–−﹣➖"), "-")
    | {ord("⁄"): "/", ord("∕"): "/", ord("٬"): ",", ord("٫"): ".", ord("￥"): "¥", ord("￡"): "£", ord("﹩"): "$"}
)
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_DIGITS = {
    sign: value
    for value, signs in enumerate("零〇○ 一壹 二贰两兩 三叁 四肆 五伍 六陆 七柒 八捌 九玖".split())
    for sign in signs
}
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000} | {
    sign: 10**4 if sign in "万萬" else 10**8 for sign in "万萬亿億"
}
_VULGAR = {sign: (unicodedata.numeric(sign).as_integer_ratio()) for sign in "½¼¾⅛⅜⅝⅞"} | {
    sign: (over, under)
    for sign, over, under in (
        ("⅓", 1, 3), ("⅔", 2, 3), ("⅕", 1, 5), ("⅖", 2, 5), ("⅗", 3, 5), ("⅘", 4, 5), ("⅙", 1, 6), ("⅚", 5, 6),
        ("⅐", 1, 7), ("⅑", 1, 9), ("⅒", 1, 10),
    )
}  # fmt: skip
_WORDS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "k": 10**3, "m": 10**6, "b": 10**9, "mn": 10**6, "bn": 10**9,
}  # fmt: skip

_DIGIT = "".join(_DIGITS)
_UNIT = "".join(_UNITS)
_SUPERSCRIPT = r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+"
_POWER = (
    r"(?:(?: ?(?:\^|\*\*) ?[({{]? ?(?P<power{0}>[-+]?\d+)(?: ?[)}}])?)|(?P<raised{0}>"
    + _SUPERSCRIPT
    + r")|的(?P<said{0}>\d+)次方)"
)
_TIMES = r"(?:\\times|\\cdot|[×·⋅x*✕])"
_CURRENCY = r"(?:(?:\b(?:US|HK|NT|CA?|AU?|S))?\\?\$|[€£¥₹₩₽₫฿]|\b(?:RMB|CNY|USD|EUR|GBP|JPY)|人民币)"
# 千米 and 百帕 are units, not thousands and hundreds of something.
_SCALE = r"(?:[十拾万萬亿億]|[百佰](?!帕)|[千仟](?![米克瓦卡帕焦赫伏安欧升牛字比]))"
_SPOKEN_DECIMAL = rf"[{_DIGIT}]+点[零〇一二三四五六七八九]+(?![十分刻])"
_CHINESE = (
    rf"(?<![第{_DIGIT}{_UNIT}])(?>"
    rf"(?:(?:\d+(?:\.\d+)?|{_SPOKEN_DECIMAL}|[{_DIGIT}]) ?{_SCALE}+|[十拾](?=[{_DIGIT}万萬亿億]){_SCALE}*)"
    rf"(?:[零〇]?(?:\d+(?:\.\d+)?|[{_DIGIT}]){_SCALE}+)*(?:[零〇]?(?:[{_DIGIT}]|\d+(?![\d.])))?"
    rf"|{_SPOKEN_DECIMAL}|(?=[{_DIGIT}]*[零〇○])[{_DIGIT}]{{2,}})(?!月|号|世纪|年代|点|分之)"
)
_GROUPED = "|".join(
    rf"\d{{1,3}}(?:{separator}\d{{3}})+" for separator in (",", r",\\!", r"\{,\}", r"\\[,;:! ]", " ", "['’]", "_")
)
_ALTERNATIVES = (
    # 3 1/2, 3½ and \frac{1}{2}, \frac12.
    rf"(?:(?P<whole_v>\d+) ?)?(?P<vulgar>[{''.join(_VULGAR)}])",
    r"(?:(?P<whole_l>\d+) ?)?\\[dtc]?frac ?"
    r"(?:\{ ?(?P<inside>-)?(?P<over_l>\d+) ?\} ?\{ ?(?P<under_l>\d+) ?\}|(?P<over_s>\d)(?P<under_s>\d)(?!\d))",
    r"(?:(?P<whole_p>\d+) )?(?P<over_p>\d+) ?/ ?(?P<under_p>\d+)(?!\d|[/.]\d)",
    # 三分之二, 百分之30, and numerals.
    rf"(?P<parts>{_CHINESE}|\d+|[{_DIGIT}十百千万])分之(?P<of_parts>{_CHINESE}|\d+(?:\.\d+)?|[{_DIGIT}十百])",
    rf"(?P<chinese>{_CHINESE})",
    r"10" + _POWER.format("_alone"),
    # Digits, by thousands or not, with an exponent or a magnitude.
    r"(?:(?P<european>\d{1,3}(?:\.\d{3})+,\d{1,2}(?!\d))"
    rf"|(?P<digits>(?:{_GROUPED}|\d{{1,2}}(?:,\d\d)+,\d{{3}})(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+))"
    rf"(?: ?{_TIMES} ?10{_POWER.format('')}|e(?P<e>[-+]?\d+)(?!\w|\.\d)"
    rf"|(?P<scale>{_SCALE}+)| ?(?P<word>hundred|thousand|million|billion|trillion)\b"
    r"|(?(currency)(?P<letter>k|mn?|bn?)(?![A-Za-z]))|)",
)
_PATTERN = (
    rf"(?P<sign>(?:[-+]|\b(?:minus|negative)\b|[负負]|零下) ?)?(?:(?P<currency>{_CURRENCY}) ?(?P<inner>-)?)?"
    rf"(?:{'|'.join(_ALTERNATIVES)})"
)
_MONTH = (
    r"(?-i:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_NO_NUMBER = "|".join(
    (
        r"\d{4}(?P<between>[-/.])\d{1,2}(?P=between)\d{1,2}(?!\d)",
        r"\d{1,2}/\d{1,2}/\d{2,4}(?!\d)",
        r"\d++(?:\.\d++){2,}+(?!,\d)",
        r"\d+(?::\d+)+(?:\.\d+)?",
        r"\d{2,4} ?年 ?\d{1,2} ?月(?: ?\d{1,2} ?[日号])?|\d{1,2} ?月 ?\d{1,2} ?[日号]",
        rf"\b{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}}\b)?",
        rf"\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}\b\.?(?:,? \d{{4}}\b)?",
        # Of names, indices and powers: H2O, x_1, x^2.
        rf"(?<![A-Za-z_])(?!{_CURRENCY} ?-?\d)[A-Za-z_]++\d(?:\w|\.\d)*",
        r"[_^]\{?[-+]?\d(?:\w|\.\d)*",
    )
)
_NUMBER = re.compile(_PATTERN, re.IGNORECASE)
_TOKEN = re.compile(rf"(?P<other>{_NO_NUMBER})|{_PATTERN}", re.IGNORECASE)
_BEFORE_SIGN = ("=", "≈", "(", ":", "是", "为")
_BEFORE_DASH = re.compile(r"[A-Za-z\d)\]}+-]$")
_RAISED = re.compile(_SUPERSCRIPT)
_JOINED = re.compile(
    r" ?(?:(?:minus|plus|times|divided by) |\*\*|[-+/×÷·⋅*^~至±]|\\times|\\cdot|\\div|\\pm|x(?= ?[-(\d])) ?\(?",
    re.IGNORECASE,
)
_PERCENT = re.compile(r" ?(?:\\?%|‰|per ?cent\b)", re.IGNORECASE)
_CHINESE_PART = re.compile(rf"\d+(?:\.\d+)?|[{_DIGIT}]+点[零〇一二三四五六七八九]+|[{_DIGIT}{_UNIT}]")
_COUNTED = "个只本元块天年岁人次支张条头匹棵朵件名位辆台米克斤小倍页种"
_SINGLE = re.compile(
    rf"(?:^|[是为有共剩得:=])[\s*了]*(?P<digit>[负負]?[{_DIGIT.replace('一', '')}十](?=[{_COUNTED}])"
    rf"|[负負]?[{_DIGIT}十](?=[\s*。.!,;]*(?:$|\n|[。.!])))"
)
