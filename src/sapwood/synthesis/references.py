"""References in a question to what the reader does not have, in English and Chinese.

The rules are careful: what can also mean something inside the question (an equation above, a table that stands in it, a
graph in the sense of mathematics) is not taken for a reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sapwood.synthesis.markup import FORMULA, has_table, without_code
from sapwood.synthesis.sentences import sentences

PASSAGE, FIGURE, TABLE = "refers to a passage", "refers to a figure", "refers to a table"
PART, BEFORE = "refers to another part", "goes on from something before"

BROUGHT_CHARACTERS = 120
"""A question that goes on for so long after `the following passage` brings it along."""

# Words of which the English patterns are made.
_NO_TEXT = r"(?! (?:of|from|through|to|into|along|between|across|time)\b)"
_TEXT = rf"(?:passage|excerpt|extract|article|text|paragraph|reading|blog post|web ?page)\b{_NO_TEXT}"
_SAYS = (
    r"(?:says?|states?|mentions?|describes?|discuss(?:es)?|explains?|provides?|suggests?|refers?|indicates?|argues?"
    r"|claims?|notes?|implies|presents?|above|below)\b"
)
_SAID = (
    r"(?:mentioned|described|stated|discussed|given|provided|presented|outlined|explained|shown|listed|defined"
    r"|introduced|highlighted|cited)"
)
_PICTURE = r"(?:figure|diagram|picture|illustration|photo(?:graph)?|drawing|image|graph|chart|plot|map|sketch)s?"

# What 如 and 本 and 文 begin or end otherwise: 例如, 日本, 英文.
_NOT_AS = r"(?<![例比诸譬假])"
_NOT_THIS = r"(?<![日基根原资样文脚版课剧副范标])"


def _any(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.MULTILINE)


_PASSAGES = _any(
    [
        rf"\b(?:the|this|that) (?:given |above |provided |preceding )?(?:passage|excerpt)s?\b{_NO_TEXT}",
        rf"\b(?:according to|based on|as per|from reading) (?:the|this|that) (?:\w+ )?(?:document|snippet|{_TEXT})",
        rf"\b{_SAID} (?:in|by|throughout) (?:the|this|that) (?:\w+ )?{_TEXT}",
        rf"\b(?:the|this) {_TEXT},? {_SAYS}",
        rf"(?:^|[.?!]\s+)in (?:the|this) {_TEXT},",
        rf"\bthe (?:above|preceding|aforementioned|provided) {_TEXT}",
        r"\b(?:according to|as \w+ by) the (?:authors?|speaker|lecturer|writer|narrator)\b(?! of\b)",
        rf"\bthe (?:authors?|speaker|lecturer),? {_SAYS}",
        r"\b(?:in|from) (?:this|the) (?:lecture|video|podcast|textbook|blog post|web ?page)\b",
        r"(?:根据|依据|按照|结合|阅读)(?:上述|以上|所给|给出的|上面的?|这[篇段])?(?:文章|短文|文段|原文|段落|资料|上文|材料)(?![的件档科])",
        r"(?:上述|以上|所给|给出的|这篇|这段|该段|该篇)(?:文章|短文|文段|段落|文字|话|材料)(?!题)",
        r"(?:^|[，。、？！：；\s（(“]|在|根据|从|由|按照|依据|结合|与)文中",
        r"文章(?:中|里|指出|提到|认为|所述|所说)|原文(?:中|里|指出|提到)",
        rf"{_NOT_THIS}本文(?![件档字本])|(?<![网线以])上文(?![件档字章化明])|(?<!应)该文(?:中|章|指出|提到|认为)",
        r"(?:前面|上面|之前|前文|上文)所?(?:述|说|提到|讲到|介绍)",
        r"(?<!》)(?<!》的)(?:作者|笔者)(?:认为|指出|提到|介绍)",
    ]
)
_FOLLOWING = _any(
    [
        r"\bthe following (?:passage|text|excerpt|article|paragraph|extract)\b",
        r"(?:下列|下面的?|以下)(?:短文|文章|文段|文字|段落|这段话)",
    ]
)
_FIGURES = _any(
    [
        rf"\b(?:{_SAID}|seen|depicted|illustrated|pictured|sketched|label+ed|drawn) (?:\w+ )?(?:in|on|by) (?:the|this) "
        rf"(?:\w+ )?{_PICTURE}\b",
        rf"\bthe (?:\w+ )?{_PICTURE} (?:above|below|shows?|shown|depicts?|illustrates?|(?:to|on) the (?:left|right))\b",
        rf"\bthe (?:following|accompanying|attached|above|adjacent) {_PICTURE}\b(?! of (?:a|an|the) function\b)",
        r"\b(?:in|from|see|using) the (?:figure|diagram|illustration|photograph)\b",
        r"\b(?:fig\.|figs\.|figure|figures) ?\(?\d+",
        r"\bas (?:shown|depicted|illustrated|pictured) (?:above|below|here)\b",
        rf"{_NOT_AS}如[上下左右附]?图(?![灵像书片论形标画案腾])|见[上下左右附]?图\s?\d*(?![书像片])",
        r"[上下左右附]图(?:所示|中|是|为|给出|表示|显示)|(?:根据|从|观察|参照|参考)[上下左右附该此]图|由图(?:可知|可见|中)",
        r"(?<![热直散])图中?所示|图中(?:标|阴影|箭头|给出|显示)|(?<![地视草蓝略附])图\s?\d",
    ]
)
_TABLES = _any(
    [
        rf"\b(?:{_SAID}|recorded|found) (?:\w+ )?(?:in|by) (?:the|this) table\b",
        r"\bthe (?:following|accompanying|above|attached) table\b|\bthe table (?:above|below|shows?|lists?|gives)\b",
        r"\b(?:according to|refer to|based on|using|see) the table\b|(?-i:\bTables? \d)",
        rf"{_NOT_AS}如[上下附]?表(?![面达层现示皮明])|[下附]表(?:所?[示列](?!表)|中|给出|是|为)|上表(?:所?[示列]|中|给出)|见[上下附]?表\s?\d",
        r"表[中格]所[示列给]|(?:根据|由|从)(?:表中|表格)|(?<![代列图报钟])表\s?\d",
    ]
)
_PARTS = _any(
    [
        r"\b(?:in|from|see) (?:section|chapter|example|exercise|appendix|listing|lesson|unit) \d+(?:\.\d+)*\b(?! of\b)",
        r"\b(?:in|from|of) (?:this|the (?:previous|preceding|next|last|earlier)) (?:section|chapter|lesson|unit)\b"
        r"(?! of the\b)",
        r"\bthe (?:previous|preceding|earlier) (?:problem|exercise|example|section|chapter)s?\b",
        r"\bas (?:we )?(?:have )?(?:mentioned|discussed|seen|noted|described|explained|saw) "
        r"(?:earlier|previously|before)\b",
        rf"{_NOT_THIS}本[章节](?![程约日制点目省])|(?:上|前)一[章节]|(?:见|参见|参考)第[一二三四五六七八九十\d]+[章节]",
        rf"(?:{_NOT_AS}如|见|参照)例\s?\d|(?:上|前)一?道?(?:例|习)题",
    ]
)
_NUMBERED = re.compile(
    r"(?:\b(?:equation|eqn?s?\.|theorem|lemma|corollary|proposition)|公式|方程|定理|引理) ?"
    r"[(（]?(\d+(?:\.\d+)*)[)）]?(?![\w.]*\s*[-+*/=^<>≤≥×·])(?!\w)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"(?:this|these|those|such|they|he|she|his|her|their|its)\b(?! (?:is|are) (?:a|an|the)\b)(?!['’])"
    r"(?! (?:question|problem|exercise|task|puzzle|morning|afternoon|evening|week|month|year|summer|winter)\b)"
    r"|(?:what|how|why|when|where|which|who)(?: \w+)? (?:does|do|did|can|could|would|will) (?:it|they|he|she)\b"
    r"(?! (?:take|cost|follow|mean|matter|help|rain|snow|make sense)\b)"
    r"|(?:what|how|why|when|where|which|who)(?: \w+)? (?:is|are|was|were) (?:they|he|she|these|those)\b"
    r"|the (?:above|former|latter|aforementioned)\b"
    r"|[^$]*\b(?:mentioned|described|discussed|defined) (?:above|earlier|previously)\b"
    r"|(?:这(?!是一|道题|个问题)|该(?!如何|怎|不该)|此(?![外后时间前题])|它|他|她|其(?![中他余实次])|上述|以上)",
    re.IGNORECASE,
)


def refers_to_passage(text: str) -> bool:
    """Whether a text speaks of another one that is not in it."""
    text = without_code(text)
    following = _FOLLOWING.search(text)
    brought = following is not None and len(text) - following.end() >= BROUGHT_CHARACTERS
    return _PASSAGES.search(text) is not None or (following is not None and not brought)


def reference(question: str) -> str | None:
    """What kind of thing a question refers to that is not in it; None where it stands alone."""
    text = FORMULA.sub(" $ ", without_code(question)).strip()
    if refers_to_passage(text):
        return PASSAGE
    if _FIGURES.search(text):
        return FIGURE
    if _TABLES.search(text) and not has_table(question):
        return TABLE
    if _PARTS.search(text) or any(_is_elsewhere(found[1], question) for found in _NUMBERED.finditer(text)):
        return PART
    start, end = next(iter(sentences(text)), (0, 0))
    return BEFORE if _BEFORE.match(text, start, end) else None


def _is_elsewhere(label: str, question: str) -> bool:
    """Whether a number is only referred to: what carries it stands in the question too if it occurs twice."""
    return len(re.findall(rf"(?<![\d.]){re.escape(label)}(?![\d.]*\d)", question)) < 2
