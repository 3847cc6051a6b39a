"""References in a question to what the reader does not have, in English and Chinese.

The rules are careful: what can also mean something inside the question (an equation above, a table that stands in it, a
graph in the sense of mathematics) is not taken for a reference.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from sapwood.generation.client import Failure
from sapwood.synthesis.faults import overlap
from sapwood.synthesis.item import Item
from sapwood.synthesis.prompt import CODE, FORMULA, has_table, without_code
from sapwood.synthesis.stage import Ask, Stage, Verdict

SHORT_LINE = 50
"""Characters. A longer line without a stop was broken for its width; a shorter one is a heading or a list's item."""

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr rev hon gen col lt sgt capt gov sen rep fig figs eq eqs ref refs sec sect ch chap "
    "no nos vol vols vs etc cf al approx ca inc ltd co corp dept univ est ed eds pp thm prop def lem cor ex resp "
    "viz e.g i.e u.s u.k ph.d jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_CLOSERS = r"[\"'”’»)\]）】」』》*_]*"
_END = re.compile(
    rf"[。！？…]+{_CLOSERS}"  # Chinese
    rf"|(?<!\d)．{_CLOSERS}"  # the wide full stop of Chinese texts about mathematics; 1． numbers a heading
    rf"|[.!?]+{_CLOSERS}(?=\s+[^\sa-z])"  # what goes on in lower case is no new sentence
    r"|(?<=[\u3400-\u9fff)）])[.!?](?=[\u3400-\u9fff])"
    r"|\n"
)
_LAST_WORD = re.compile(r"[\w.]*\w$")
_LIST_NUMBER = re.compile(r"(?:^|\n)[\s#>*-]*(?:\d+(?:\.\d+)*|[A-Za-z]|[ivx]+)$")
_NEW_LINE = re.compile(r"\s*(?:[-*+•●■◆>|#]|\d+[.)、．]|[(（]\w{1,3}[)）]|!\[|<)")
_UNFINISHED = tuple(",;:，；：、-–—(（")


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence begins and ends, in characters, without the white space around it.

    A sentence ends at its full stop, and at the end of a paragraph, heading or item of a list. None ends inside a
    formula or code, after an abbreviation or an initial, or in a number.
    """
    whole = [match.span() for pattern in (FORMULA, CODE) for match in pattern.finditer(text)]
    inside = bytearray(len(text) + 1)
    for start, end in whole:
        inside[start : end - 1] = b"\1" * (end - 1 - start)
    ends = [match.end() for match in _END.finditer(text) if not inside[match.start()] and _ends(text, match)]
    bounds = [0, *ends, len(text)]
    spans = (_stripped(text, start, end) for start, end in itertools.pairwise(bounds))
    return [span for span in spans if span[0] < span[1]]


def _ends(text: str, match: re.Match[str]) -> bool:
    if match[0] == "\n":
        return _line_ends(text, match.start())
    if match[0] != ".":
        return True
    before = text[max(0, match.start() - 40) : match.start()]
    if _LIST_NUMBER.search(before):
        return False
    word = _LAST_WORD.search(before)
    return word is None or not (word[0].lower() in _ABBREVIATIONS or (len(word[0]) == 1 and word[0].isupper()))


def _line_ends(text: str, place: int) -> bool:
    """Whether the line break at `place` ends a sentence."""
    line = text[text.rfind("\n", 0, place) + 1 : place].strip()
    stop = text.find("\n", place + 1)
    following = text[place + 1 : stop if stop >= 0 else len(text)].strip()
    if not line or not following:
        return True
    if _NEW_LINE.match(following):
        return True
    if line.endswith(_UNFINISHED) or following[0].islower():
        return False
    return len(line) < SHORT_LINE


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


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


COPIED_SHARE = 0.6
"""The share of a question that stands in the snippet from which on it counts as copied."""
RUN = {"zh": 12}
"""Tokens in a row that must be equal to be copied, by language; in others 8 words."""


class SelfContainednessStage(Stage):
    """Rejects items that refer to a text, a figure or anything else that the reader does not have, and copies."""

    name = "self_containedness"

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        """One verdict for each item. Nobody is asked."""
        return [_verdict(item) for item in items]


def _verdict(item: Item) -> Verdict:
    copied = overlap(item.question, item.snippet, RUN.get(item.language, 8)) if item.snippet else 0.0
    reason = reference(item.question)
    if reason is None and any(map(refers_to_passage, (item.reasoning, item.answer, *item.choices))):
        reason = "the solution refers to a passage"
    if reason is None and copied >= COPIED_SHARE:
        reason = "copied from the page"
    return Verdict(passed=reason is None, reason=reason or "", detail={"copied": round(copied, 3)})
