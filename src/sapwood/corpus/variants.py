"""Han characters that stand for each other in simplified and traditional Chinese, as one character.

Conversion there and back does not give the same text: 坐标 becomes 座標 and then 座标. So texts of both scripts are
compared by classes of characters, which no conversion leaves: two characters are in one class when OpenCC puts one in
the place of the other. Words that only one place has (軟體 for 软件, `traditional-twp`) are no variants.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from sapwood.corpus.characters import IDEOGRAPHS, Hashes, table

_CONFIGURATIONS = ("t2s", "tw2s", "hk2s")
# Pairs in OpenCC's dictionaries (1.4.2) that no character by itself is converted to: they come in phrases alone, or as
# the second form. Those of the other direction are here too, whose dictionary of phrases takes half a second to load.
_PAIRS = (
    "熏薰 緪縆 䩄靦 噁𫫇 蘋𬞟 戰𢧐 擣𢭏 鍊链 耡锄 鍾锺 鉅钜 鏇镟 餘馀 麴麹 麪麺 哩里 諮谘 託讬 迳逕 揹背 甦苏 耇耈 "
    "籐藤 荳豆 像象 只祇 吣唚 呆待 周賙 俱具 坐座 坏坯 宁甯 它牠 复覆 伕夫 借藉 堤隄 線缐 硷礆 硷鹼 筱篠 琅瑯 焰燄 "
    "稆穭 穗繐 浚濬 果菓 枪鎗 拏拿 渖瀋 戚鏚 斤觔 斫斲 昵暱 澂澄 檗蘗 了瞭 䌽綵 仇讎 仿彷 侭儘 䦆钁 䙓襬 㳽瀰 㓰劃 "
    "諫𫍝 譾𫍿 鵰𫛲 鍊𫔀 開𫔭 閒𫔮 餬𫗫 餵𫗭 餱𫗯 韝𫖕 願𫖸 齧𫜩 噹𪠽 崙𪨧 廬𪪏 驄𩨂 買𧹒 賬𧹔 坂阪 仝同 俯頫 炉鑪 "
    "麵麺 扬颺 和龢 村邨 欣訢 貲资 绿菉 专耑 乃迺 洁絜 划畫 奔犇 筦管 淼渺 椀碗 丫椏 沈沉 勣绩 坤堃 哲喆 假叚 只衹 "
    "么幺 枱檯 糉糭 妝粧 敍敘 潀潨 衛衞 痹痺 檐簷 鮎鯰 顎齶 着著 睪睾"
)


@cache
def letters_by_variant() -> Hashes:
    """The values of `Table.letters`, equal for all characters of a class. Made once in a process, in half a second."""
    letters = table().letters
    classes = _Classes()
    for one, other in _equal():
        classes.join(ord(one), ord(other))
    codes = np.array(sorted(classes.above), np.int64)
    old, new = letters[codes], letters[[classes.first(code) for code in codes.tolist()]]
    order = np.argsort(old)
    # By value and not by code point: radicals and compatibility forms of a character go with it.
    places = np.minimum(np.searchsorted(old[order], letters), len(old) - 1)
    return np.where(old[order][places] == letters, new[order][places], letters)


def _equal() -> Iterator[tuple[str, str]]:
    from opencc import OpenCC

    every = [chr(code) for block in IDEOGRAPHS for code in block]
    for configuration in _CONFIGURATIONS:
        converted = OpenCC(configuration).convert("\n".join(every)).split("\n")
        yield from ((one, other) for one, other in zip(every, converted, strict=True) if one != other)
    yield from ((pair[0], pair[1]) for pair in _PAIRS.split())


class _Classes:
    """Disjoint sets of numbers, each known by its smallest."""

    def __init__(self) -> None:
        self.above: dict[int, int] = {}

    def first(self, number: int) -> int:
        while self.above.setdefault(number, number) != number:
            number = self.above[number]
        return number

    def join(self, one: int, other: int) -> None:
        one, other = self.first(one), self.first(other)
        self.above[max(one, other)] = min(one, other)
