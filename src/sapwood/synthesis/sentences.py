"""Where the sentences of an English or Chinese text begin and end."""

from __future__ import annotations

import itertools
import re

from sapwood.synthesis.markup import CODE, FORMULA

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
