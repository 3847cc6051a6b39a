"""The encoding of a web page: what it declares where that holds, and a detection where nothing does.

Declarations come in the order of the HTML standard (13.2.3.2 "Determining the character encoding"): a byte order mark,
the HTTP header, `<meta>`, the XML declaration. Each must decode the whole page strictly; one that does not is passed
over. Labels mean what they mean to browsers (WHATWG Encoding Standard, section 4.2): `gb2312` is GB 18030, `shift_jis`
Windows-31J, `iso-8859-1` Windows-1252.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 utf8mb4 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e "
    "iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
    "iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-8859-8-i iso-ir-138 "
    "iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 logical visual",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
    "iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 "
    "windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "gb18030": "chinese csgb2312 csiso58gb231280 cp936 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 "
    "windows-936 x-gbk",
    "hz": "hz-gb-2312 hz",
    "big5hkscs": "big5 big5-hkscs big5_hkscs cn-big5 cp950 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp": "csiso2022jp iso-2022-jp",
    "cp932": "cp932 csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cp949 cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
    "windows-949",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}
"""Python's decoder, and the labels of the standard that mean it. What is not here (UTF-7, and Python's codecs that are
no encodings of text) is no declaration."""
_DECODERS = {label: decoder for decoder, labels in _LABELS.items() for label in labels.split()}

_FALLBACKS = {
    "big5hkscs": ("cp950",),
    "euc_jp": ("euc_jis_2004",),
    "iso2022_jp": ("iso2022_jp_ext", "iso2022_jp_2004"),
    "cp932": ("shift_jis_2004",),
}
"""Where Python's decoder lacks what the standard's has (rows of NEC, the euro sign), the next to try."""

_WIDE = "utf-8 gb18030 hz big5hkscs cp950 euc_jp euc_jis_2004 iso2022_jp cp932 cp949 utf-16-be utf-16-le".split()
_NARROW = set(_LABELS) - set(_WIDE)
"""Encodings of single bytes, which decode almost anything; wrong bytes break the others."""

_DETECTABLE = (
    *("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"),
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
)
"""What pages that declare nothing are in: of all 99 that charset-normalizer knows, Polish in ISO 8859-2 is taken for
ISO 8859-10; 24 Chinese pages each in GB 18030 and in Big5 were told apart either way."""

_MULTI_BYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")
_SURE_SEQUENCES = 8
"""So many sequences of UTF-8, and nothing that is none, are no accident: of 90,000 stretches of 4 Chinese characters in
GB 18030, 38 are valid UTF-8, and 1 of 90,000 of 8."""

_XML = re.compile(rb"\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([^\"'<>]{1,40})[\"']")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]{1,40})", re.IGNORECASE)
_FEED_BYTES = 1 << 14

_TAGS = re.compile(rb"<(script|style)\b.*?</\1|<[^>]*>", re.DOTALL | re.IGNORECASE)
_PRIVATE_ZONES = ("gb18030", "big5hkscs", "cp950", "cp932", "cp949")
"""Encodings in which bytes without a meaning decode to characters of private use, as Big5 does in GB 18030."""
_NO_SIGN = re.compile("[\ue000-\uf8ff\ufffd]")
_HIGH = re.compile(rb"[\x80-\xff]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_SHOWN_BYTES = 20_000
"""What the detection is shown: text outside tags, from the first byte beyond ASCII on."""
_DAMAGED_SHARE = 0.02
"""The share of the characters beyond ASCII that may be broken, or of private use, where a declaration holds."""


Certainty = Literal["declared", "detected", "damaged"]
DECLARED: Certainty = "declared"
"""How the encoding of a page is known: it says so and holds; nothing does; or it holds but for a few bytes."""


class Decoded(NamedTuple):
    """A page as text."""

    text: str
    encoding: str
    """As Python calls the decoder."""
    certainty: Certainty


def decode_page(content: bytes, header: str | None = None) -> Decoded | None:
    """The page as text; None where no encoding fits. `header` is the `Content-Type` of HTTP.

    An encoding of single bytes can hardly fail, so that its declaration (a server's default `iso-8859-1` above all)
    yields to what can be nothing but UTF-8, and to a further declaration of several bytes that holds.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark) and (text := _decode(content, encoding)) is not None:
            return Decoded(text, encoding, DECLARED)
    declared = list(dict.fromkeys(filter(None, map(decoder_of, _labels(content, header)))))
    utf8 = _decode(content, "utf-8")
    sequences = 0 if utf8 is None else len(_MULTI_BYTE.findall(content))
    if utf8 is not None and sequences >= _SURE_SEQUENCES:
        return Decoded(utf8, "utf-8", DECLARED if "utf-8" in declared else "detected")
    held = [found for decoder in declared if (found := _decode_as(content, decoder, DECLARED)) is not None]
    if wide := next((found for found in held if found.encoding not in _NARROW), None):
        return wide
    if held and not sequences:
        return held[0]
    return _detect(content, utf8) if utf8 is not None else _damaged(content, declared) or _detect(content, utf8)


def decoder_of(label: str) -> str | None:
    """Python's name of the encoding that browsers take a label for; None for what is none.

    >>> decoder_of(" GB2312 ")
    'gb18030'
    """
    return _DECODERS.get(label.strip(" \t\n\f\r\"'").lower())


def _labels(content: bytes, header: str | None) -> Iterator[str]:
    if header is not None and (found := _CHARSET.search(header)):
        yield found[1]
    for label in _meta_labels(content):
        # A page in which this can be read is not in UTF-16, whatever it says of itself (13.2.3.2, prescan).
        decoder = decoder_of(label)
        yield "utf-8" if decoder is not None and decoder.startswith("utf-16") else label
    if xml := _XML.match(content):
        yield xml[1].decode("latin-1")


def _meta_labels(content: bytes) -> Iterator[str]:
    """What `<meta>` declares, wherever it stands: comments and scripts are told apart by the parser (libxml2)."""
    from lxml.etree import HTMLPullParser, XMLSyntaxError

    parser = HTMLPullParser(events=("start",), tag="meta", encoding="iso-8859-1")
    for start in range(0, len(content), _FEED_BYTES):
        try:
            parser.feed(content[start : start + _FEED_BYTES])
        except XMLSyntaxError:
            return
        for _, element in parser.read_events():
            if charset := element.get("charset"):
                yield charset
                return
            names_type = (element.get("http-equiv") or "").strip().lower() == "content-type"
            if names_type and (found := _CHARSET.search(element.get("content") or "")):
                yield found[1]
                return


def _decode_as(content: bytes, decoder: str, certainty: Certainty) -> Decoded | None:
    for name in (decoder, *_FALLBACKS.get(decoder, ())):
        if (text := _decode(content, name)) is not None:
            return Decoded(text, name, certainty)
    return None


def _decode(content: bytes, encoding: str) -> str | None:
    if encoding.startswith("utf-16-") and b"\0" not in content:
        return None  # any even number of bytes is something in UTF-16, but no markup
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if encoding in _PRIVATE_ZONES and _wrong(text) else text


def _damaged(content: bytes, declared: list[str]) -> Decoded | None:
    """A page cut in the middle of a character, or with a stray byte: what a browser would show."""
    for decoder in dict.fromkeys([*declared, "utf-8"]):
        if decoder not in _NARROW:
            text = content.decode(decoder, "replace")
            if not _wrong(text):
                return Decoded(text, decoder, "damaged")
    return None


def _wrong(text: str) -> bool:
    signs = sum(map(len, _NOT_ASCII.findall(text)))
    return len(_NO_SIGN.findall(text)) > min(signs - 1, max(1, signs * _DAMAGED_SHARE))


def _detect(content: bytes, utf8: str | None) -> Decoded | None:
    """What charset-normalizer makes of the text outside tags: the first bytes of a page may all be scripts."""
    from charset_normalizer import from_bytes

    if b"\x1b$" in content and (found := _decode_as(content, "iso2022_jp", "detected")) is not None:
        return found
    if utf8 is not None:
        return Decoded(utf8, "utf-8", DECLARED if content.isascii() else "detected")
    words = _TAGS.sub(b" ", content)
    first = _HIGH.search(words)
    shown = words[first.start() if first else 0 :][:_SHOWN_BYTES]
    matches = from_bytes(shown, cp_isolation=list(_DETECTABLE))
    return next((found for match in matches if (found := _decode_as(content, match.encoding, "detected"))), None)
