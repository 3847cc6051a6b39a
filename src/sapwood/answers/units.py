"""Units of measurement, in English and Chinese: which are the same, and how many of one make another.

A unit that is not known, such as `apples` or `个`, is known by its name alone.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Unit:
    """A product of powers of units that cannot be converted into each other."""

    factor: Fraction
    """How many of that product it is."""
    powers: frozenset[tuple[str, int]]
    """The powers of metre, kilogram and so on."""
    name: str = ""
    """Of a unit that is not known: what it is called."""

    @property
    def share(self) -> Fraction | None:
        """Of a unit without dimension, such as `%`: how much one of it is."""
        return None if self.powers or self.name else self.factor

    def in_terms_of(self, other: Unit) -> Fraction | None:
        """How many of the other one of this is; None where they measure different things."""
        if self.name or other.name:
            longer, shorter = sorted((self.name, other.name), key=len, reverse=True)
            return Fraction(1) if shorter and longer.startswith(shorter) else None
        return self.factor / other.factor if self.powers == other.powers else None


def parse_unit(text: str) -> Unit | None:
    """Reads a unit or a compound of units such as `m/s^2`, `kg·m`, `metres per second`, `千克/立方米`.

    Words that are no unit make one of their own: `apples`. None for what is neither: `x`, `+ 3`.
    """
    spelled = text
    for word, sign in _SPELLINGS:
        spelled = re.sub(word, sign, spelled)
    return _compound(spelled.strip()) or _named(text.strip())


def _compound(text: str) -> Unit | None:
    factor, powers, sign, group = Fraction(1), Counter[str](), 1, 0
    position, expects_unit = 0, True
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            return None
        position = match.end()
        operator = match["operator"]
        if operator:
            # "J/(kg·K)": what is in parentheses is all divided by; "J/kg K" divides by kg alone.
            if operator == "(" and sign < 0 and expects_unit:
                group = 1
            elif operator == ")" and group and not expects_unit:
                group, sign = 0, 1
            elif operator in "/·" and not expects_unit:
                sign = -1 if operator == "/" or group else 1
                expects_unit = True
            else:
                return None
            continue
        known = _KNOWN.get(match["unit"]) or _KNOWN.get(match["unit"].lower())
        if known is None or abs(power := sign * int(match["power"] or 1)) > _HIGHEST_POWER:
            return None
        factor *= known[0] ** power
        powers.update({base: exponent * power for base, exponent in known[1].items()})
        sign, expects_unit = (sign if group else 1), False
    if expects_unit or group:
        return None
    return Unit(factor, frozenset((base, power) for base, power in powers.items() if power))


def _named(text: str) -> Unit | None:
    words = text.casefold().split()
    if not words or len(words) > _LONGEST_NAME or _NO_NAMES.intersection(words):
        return None
    if not all(_WORD.fullmatch(word) for word in words):
        return None
    return Unit(Fraction(1), frozenset(), " ".join(word.removesuffix("s") for word in words))


_HIGHEST_POWER = 12
_LONGEST_NAME = 3
_WORD = re.compile(r"[a-z]{2,}|[\u4e00-\u9fff]{1,6}")
_NO_NAMES = frozenset(
    "and or to if when where for is are of than with from by as at in on mod sin cos tan sec csc cot log ln exp "
    "lim max min gcd lcm det st nd rd th 和 或 与 至 到".split()
)
_SPELLINGS = (
    (r"(?i)\bper\b|每", "/"),
    (r"[*⋅∙]|\\cdot\b|\\times\b", "·"),
    (r"[{}]", ""),
    (r"(?i)\b(?:square|sq\.?)\s+([a-z]+)|平方([\u4e00-\u9fff]+)", r"\1\2^2"),
    (r"(?i)\b(?:cubic|cu\.?)\s+([a-z]+)|立方([\u4e00-\u9fff]+)", r"\1\2^3"),
    (r"(?i)\b([a-z]+)\s+squared\b", r"\1^2"),
    (r"(?i)\b([a-z]+)\s+cubed\b", r"\1^3"),
    (r"\u00b5|\\mu\b ?", "μ"),
    (r"\u2126|\\Omega\b ?", "Ω"),
    (r"\\?[%％]|(?i:\bpercent\b)", "%"),
    (r"\^?\\circ|º", "°"),
    (r"°\s+([CF])\b", r"°\1"),
    (r"(?i:\bdegrees? celsius\b)|摄氏度", "°C"),
    (r"(?i:\bdegrees? fahrenheit\b)|华氏度", "°F"),
)
_PART = re.compile(
    r"\s*(?:(?P<operator>[/·()])|(?P<unit>°[CF]?|%|‰|[A-Za-zμΩÅ]+|[\u4e00-\u9fff]+)(?:\^?\(?(?P<power>-?\d+)\)?)?)\s*"
)

_Known = tuple[Fraction, Mapping[str, int]]
"""The factor, and the powers."""

_BASES = ("m", "kg", "s", "A", "K", "mol", "cd", "bit", "°C", "°F")
"""Degrees of temperature are apart, since they do not begin at the same place."""

_DEFINED = {
    "g": "1/1000 kg",
    "Hz": "s^-1",
    "N": "kg m s^-2",
    "Pa": "kg m^-1 s^-2",
    "J": "kg m^2 s^-2",
    "W": "kg m^2 s^-3",
    "C": "A s",
    "V": "kg m^2 s^-3 A^-1",
    "F": "kg^-1 m^-2 s^4 A^2",
    "Ω": "kg m^2 s^-3 A^-2",
    "S": "kg^-1 m^-2 s^3 A^2",
    "Wb": "kg m^2 s^-2 A^-1",
    "T": "kg s^-2 A^-1",
    "H": "kg m^2 s^-2 A^-2",
    "Bq": "s^-1",
    "Gy": "m^2 s^-2",
    "Sv": "m^2 s^-2",
    "L": "1/1000 m^3",
    "M": "1000 mol m^-3",
    "eV": f"{Fraction('1.602176634e-19')} kg m^2 s^-2",
    "cal": "4184/1000 kg m^2 s^-2",
    "Wh": "3600 kg m^2 s^-2",
    "bar": "100000 kg m^-1 s^-2",
    "atm": "101325 kg m^-1 s^-2",
    "mmHg": "133322387415/1000000000 kg m^-1 s^-2",
    "t": "1000 kg",
    "min": "60 s",
    "h": "3600 s",
    "day": "86400 s",
    "week": "604800 s",
    "year": "31557600 s",
    "rad": "1",
    "%": "1/100",
    "‰": "1/1000",
    "Å": "1/10000000000 m",
    "B": "8 bit",
    "in": "254/10000 m",
    "ft": "3048/10000 m",
    "mi": "1609344/1000 m",
    "lb": "45359237/100000000 kg",
}
"""In terms of the bases. The values are those of the SI brochure, 9th edition, and of the international yard and pound;
a year is a Julian year."""

_PREFIXED = "m g s A K mol Hz N Pa J W C V F Ω S Wb T H Bq Gy Sv L M eV Wh cal bar bit B".split()
_PREFIXES = {
    "f": (-15, "femto", "飞"),
    "p": (-12, "pico", "皮"),
    "n": (-9, "nano", "纳"),
    "μ": (-6, "micro", "微"),
    "m": (-3, "milli", "毫"),
    "c": (-2, "centi", "厘"),
    "d": (-1, "deci", "分"),
    "h": (2, "hecto", "百"),
    "k": (3, "kilo", "千"),
    "M": (6, "mega", "兆"),
    "G": (9, "giga", "吉"),
    "T": (12, "tera", "太"),
}
_NAMES = {
    "m": "metre meter 米",
    "g": "gram gramme 克",
    "s": "second sec 秒 秒钟",
    "A": "ampere amp 安培 安",
    "K": "kelvin 开尔文 开",
    "mol": "mole 摩尔 摩",
    "cd": "candela 坎德拉",
    "Hz": "hertz 赫兹 赫",
    "N": "newton 牛顿 牛",
    "Pa": "pascal 帕斯卡 帕",
    "J": "joule 焦耳 焦",
    "W": "watt 瓦特 瓦",
    "C": "coulomb 库仑 库",
    "V": "volt 伏特 伏",
    "F": "farad 法拉",
    "Ω": "ohm 欧姆 欧",
    "S": "siemens 西门子",
    "Wb": "weber 韦伯",
    "T": "tesla 特斯拉",
    "H": "henry 亨利",
    "Bq": "becquerel 贝克勒尔",
    "Gy": "gray 戈瑞",
    "Sv": "sievert 希沃特",
    "L": "litre liter l 升",
    "M": "molar",
    "eV": "electronvolt 电子伏特 电子伏",
    "cal": "calorie 卡路里 卡",
    "atm": "atmosphere 大气压",
    "t": "tonne 吨",
    "min": "minute mins 分钟 分",
    "h": "hour hr hrs 小时 时",
    "day": "day d 天 日",
    "week": "week 周 星期",
    "year": "year yr 年",
    "rad": "radian 弧度",
    "°": "degree deg 度",
    "bit": "比特",
    "B": "byte 字节",
    "in": "inch 英寸",
    "ft": "foot feet 英尺",
    "mi": "mile 英里",
    "lb": "lbs pound 磅",
    "km": "公里",
    "kg": "公斤",
    "mL": "ml cc 毫升",
}
"""Other names of units; English ones also have a plural."""


def _known() -> dict[str, _Known]:
    found: dict[str, _Known] = {base: (Fraction(1), {base: 1}) for base in (*_BASES, "°")}
    for symbol, definition in _DEFINED.items():
        found[symbol] = _defined(definition)
    for symbol in _PREFIXED:
        factor, powers = found[symbol]
        for prefix, (exponent, *words) in _PREFIXES.items():
            made = factor * Fraction(10) ** exponent, powers
            found.setdefault(prefix + symbol, made)
            for word, name in itertools.product(words, _names(symbol)):
                # Prefixes in words go with names in words, in the same language.
                if word.isascii() == name.isascii() and (len(name) > 2 or not name.isascii()):
                    found.setdefault(word + name, made)
    for symbol in _NAMES:
        for name in _names(symbol):
            found.setdefault(name, found[symbol])
    return found


def _defined(definition: str) -> _Known:
    factor, powers = Fraction(1), dict[str, int]()
    for part in definition.split():
        base, _, power = part.partition("^")
        if base in _BASES:
            powers[base] = int(power or 1)
        else:
            factor *= Fraction(part)
    return factor, powers


def _names(symbol: str) -> Iterator[str]:
    for name in _NAMES.get(symbol, "").split():
        yield name
        if name.isascii() and len(name) > 2:
            yield from (f"{name}s", f"{name}es")


_KNOWN = _known()
