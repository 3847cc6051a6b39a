"""What a web page says by its markup alone, written as text: formulas as TeX, raised and lowered signs, list letters.

Extractors keep the characters of a page and drop the rest: 10<sup>23</sup> becomes 1023, a formula nothing or its parts
in a row, the choices of a question lose their letters. The tree is rewritten before the extraction. Nothing in it is
run; TeX comes from the places where the tools of the web put it:

- MathML: `<annotation encoding="application/x-tex">` (KaTeX, MediaWiki, pandoc), `alttext` (LaTeXML), or its elements;
- `<script type="math/tex">` (MathJax 2);
- images of formulas: `alt`, or the `tex` of their address (MediaWiki, WordPress, Zhihu).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

LETTERED = "\u241f"
"""Stands before the letter of a list's item while the page is extracted, in the place of a bullet: a printable
sign, since trafilatura drops others."""

_CONTAINERS = re.compile(r"(?:^|\s)(?:katex(?:-display)?|mwe-math-element|MathJax\w*|mjx-container)(?:\s|$)")
_RENDERED = re.compile(r"(?:^|\s)MathJax(?:_\w+)?(?:\s|$)")
_TEX_SCRIPT = re.compile(r"\s*math/tex\s*(;\s*mode=display)?", re.IGNORECASE)
_FORMULA_IMAGE = re.compile(r"(?:^|[\s_-])(?:math|tex|latex|equation|mwe-math)", re.IGNORECASE)
_FORMULA_ADDRESS = re.compile(r"latex\.php|latex\.codecogs|mimetex|mathtex|/render/math|equation\?tex=", re.IGNORECASE)
_DISPLAY_STYLE = re.compile(r"\{\s*\\(?:displaystyle|textstyle)\b\s*(.*)\}", re.DOTALL)
_TEX_CHARACTERS = 10_000
"""The longest formula that is taken."""

_PLAIN_SIGN = re.compile(r"[+\-−]?\w+[+\-−]?|[+\-−′*†°]+")
_NO_EXPONENT = re.compile(r"st|nd|rd|th|e|er|re|ère|ème|o|a|os|as|mo|TM|SM|®|℠|™|©", re.IGNORECASE)
"""Raised signs that are no exponents: ordinals (1st, 19e) and marks."""
_NOTE = re.compile(r"\[?\s*(\d+|[a-z]|note \d+)\s*\]?", re.IGNORECASE)

_NUMERALS = {"a": "a", "A": "A", "i": "i", "I": "I"}
_STYLES = {"lower-alpha": "a", "lower-latin": "a", "upper-alpha": "A", "upper-latin": "A"} | {
    "lower-roman": "i",
    "upper-roman": "I",
}
_LIST_STYLE = re.compile(r"list-style(?:-type)?\s*:[^;]*?\b((?:lower|upper)-(?:alpha|latin|roman))", re.IGNORECASE)
_ROMAN = tuple(
    zip((1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1), "m cm d cd c xc l xl x ix v iv i".split(), strict=True)
)


def write_out(tree: Any) -> None:
    """Rewrites the tree of a page (lxml) in place: formulas as `$TeX$`, `10^23`, `H_2O`, `A. first choice`."""
    for script in list(tree.iter("script")):
        if (found := _TEX_SCRIPT.match(script.get("type") or "")) and (tex := _tex(script.text)):
            for neighbour in _rendered(script):
                _replace(neighbour, "")
            _replace(script, _formula(tex, display=found[1] is not None))
    for math in list(tree.iter("math")):
        container = _container(math)
        if tex := _tex_of(math):
            _replace(container, _formula(tex, display=_is_display(math, container)))
    for image in list(tree.iter("img")):
        if tex := _tex_of_image(image):
            _replace(image, _formula(tex, display="display" in (image.get("class") or "")))
    for mark, tag in (("^", "sup"), ("_", "sub")):
        for element in list(tree.iter(tag)):
            _write_sign(element, mark)
    for ordered in list(tree.iter("ol")):
        _write_letters(ordered)


def _formula(tex: str, *, display: bool) -> str:
    return f"$${tex}$$" if display else f"${tex}$"


def _tex(text: str | None) -> str:
    """TeX without what only places it; empty where there is none, or it is no formula any more."""
    tex = " ".join((text or "").replace("<![CDATA[", "").replace("]]>", "").split())
    if found := _DISPLAY_STYLE.fullmatch(tex):
        tex = found[1].strip()
    tex = tex.removeprefix("%").strip()
    for start, end in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if len(tex) > len(start + end) and tex.startswith(start) and tex.endswith(end):
            tex = tex[len(start) : -len(end)].strip()
    return tex if len(tex) <= _TEX_CHARACTERS else ""


def _container(math: Any) -> Any:
    """What stands on the page for a formula: the element of the tool that rendered it."""
    tools = [
        element
        for element in math.iterancestors()
        if _CONTAINERS.search(element.get("class") or "") or element.tag == "mjx-container"
    ]
    return tools[-1] if tools else math


def _is_display(math: Any, container: Any) -> bool:
    classes = container.get("class") or ""
    block = math.get("display") == "block" or "display" in classes or container.get("display") == "true"
    return block or math.get("mode") == "display"


def _tex_of(math: Any) -> str:
    for annotation in math.iter("annotation"):
        if "tex" in (annotation.get("encoding") or "").lower() and (tex := _tex(annotation.text)):
            return tex
    return _tex(math.get("alttext")) or _tex(_converted(math))


def _converted(element: Any) -> str:
    """Presentation MathML as TeX, for formulas that bring none (MathJax 3's assistive MathML)."""
    tag = element.tag if isinstance(element.tag, str) else ""
    if tag.startswith("annotation") or not tag:
        return ""
    parts = [part for part in map(_converted, element) if part or tag != "mrow"]
    own = (element.text or "").strip()
    both = [*parts, "", "", ""]
    match tag:
        case "mtext":
            return rf"\text{{{own}}}" if own else ""
        case "msup" | "mover":
            return f"{both[0]}^{{{both[1]}}}"
        case "msub" | "munder":
            return f"{both[0]}_{{{both[1]}}}"
        case "msubsup" | "munderover":
            return f"{both[0]}_{{{both[1]}}}^{{{both[2]}}}"
        case "mfrac":
            return rf"\frac{{{both[0]}}}{{{both[1]}}}"
        case "msqrt":
            return rf"\sqrt{{{' '.join(parts)}}}"
        case "mroot":
            return rf"\sqrt[{both[1]}]{{{both[0]}}}"
        case "mtr":
            return " & ".join(parts) + r" \\"
        case "mtable":
            return rf"\begin{{matrix}} {' '.join(parts)} \end{{matrix}}"
        case "mfenced":
            return f"{element.get('open') or '('}{', '.join(parts)}{element.get('close') or ')'}"
    return own or " ".join(parts)


def _rendered(script: Any) -> list[Any]:
    """What MathJax has drawn of a formula, beside its script."""
    found = []
    for preceding in (True, False):
        if not preceding and (script.tail or "").strip():
            break
        for element in script.itersiblings(preceding=preceding):
            if not _RENDERED.search(element.get("class") or "") or (preceding and (element.tail or "").strip()):
                break
            found.append(element)
            if (element.tail or "").strip():
                break
    return found


def _tex_of_image(image: Any) -> str:
    address = image.get("src") or ""
    named = image.get("eeimg") or _FORMULA_IMAGE.search(image.get("class") or "") or _FORMULA_ADDRESS.search(address)
    if not named:
        return ""
    try:
        query = parse_qs(urlsplit(address).query)
    except ValueError:
        query = {}
    written = (
        image.get("data-formula") or image.get("alt") or next(iter(query.get("tex") or query.get("latex") or ()), "")
    )
    return _tex(written)


def _write_sign(element: Any, mark: str) -> None:
    text = " ".join("".join(element.itertext()).split())
    if not text:
        return
    linked = any((link.get("href") or "").startswith("#") for link in element.iter("a"))
    if mark == "^" and (linked or "reference" in (element.get("class") or "")):
        if (note := _NOTE.fullmatch(text)) is not None:
            _replace(element, f"[{note[1]}]")
        return
    if mark == "^" and _NO_EXPONENT.fullmatch(text):
        _replace(element, text)
        return
    bare = _PLAIN_SIGN.fullmatch(text) and not (
        len(text) > 1 and text[-1].isalpha() and (element.tail or "")[:1].isalnum()
    )
    _replace(element, f"{mark}{text}" if bare else f"{mark}{{{text}}}")


def _write_letters(ordered: Any) -> None:
    style = _LIST_STYLE.search(ordered.get("style") or "")
    kind = _NUMERALS.get((ordered.get("type") or "").strip()) or (_STYLES[style[1].lower()] if style else "1")
    items = ordered.findall("li")
    step = -1 if ordered.get("reversed") is not None else 1
    number = _integer(ordered.get("start"), len(items) if step < 0 else 1)
    for item in items:
        number = _integer(item.get("value"), number)
        sign = f"{LETTERED}{_numeral(number, kind)}. "
        place = item
        while not (place.text or "").strip() and len(place) and place[0].tag in ("p", "div", "span"):
            place = place[0]
        place.text = sign + (place.text or "").lstrip()
        number += step


def _integer(value: str | None, otherwise: int) -> int:
    found = re.fullmatch(r"\s*([+-]?\d{1,6})\s*", value or "")
    return int(found[1]) if found else otherwise


def _numeral(number: int, kind: str) -> str:
    """A number as HTML counts it (CSS Counter Styles 3): letters from 1 on, Roman numerals from 1 to 3,999.

    >>> [_numeral(28, "A"), _numeral(4, "i"), _numeral(0, "a")]
    ['AB', 'iv', '0']
    """
    if number < 1 or kind == "1" or (kind in "iI" and number > 3999):
        return str(number)
    written = ""
    if kind in "aA":
        while number:
            number, rest = divmod(number - 1, 26)
            written = chr(ord("a") + rest) + written
    else:
        for value, sign in _ROMAN:
            written += sign * (number // value)
            number %= value
    return written.upper() if kind.isupper() else written


def _replace(element: Any, text: str) -> None:
    """Puts text in the place of an element."""
    parent = element.getparent()
    if parent is None:
        return
    text += element.tail or ""
    before = element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + text
    else:
        parent.text = (parent.text or "") + text
    parent.remove(element)
