from __future__ import annotations

import gzip
import io

import pytest

from sapwood.corpus.formats import Fields, Rejected, read_rows
from sapwood.corpus.formats.encoding import decode_page, decoder_of
from sapwood.corpus.formats.row import Row

pytest.importorskip("trafilatura", reason="needs the extra `web`")

ZH = "渔港今天公布了新的规定，许多渔民还不清楚这些变化对他们意味着什么，他们希望在实行之前能够听取他们的意见。"
JA = "港の管理局は昨日、沿岸漁業の新しい規則を発表しました。多くの漁師はこの変更の意味をまだ知りません。①髙﨑"
KO = "항만 당국은 어제 연안 어업에 관한 새로운 규칙을 발표했다. 많은 어민들은 뷁이 변화를 아직 알지 못한다."
RU = "Сегодня администрация порта объявила новые правила, и многие рыбаки ещё не знают, что это значит для них."
FR = "Le préfet a annoncé hier de nouvelles règles: “beaucoup” de pêcheurs ne savent pas encore, à 5 € près."
HANT = "漁港今天公佈了新的規定，許多漁民還不清楚這些變化對他們意味著什麼，他們希望能夠聽取他們的意見。"
SCRIPTS = '<script src="/static/js/lib.js">if (a < b) document.write("<meta charset=koi8-r>")</script>' * 200


def page(text: str, head: str = "", before: str = "") -> str:
    body = f"<p>{text}</p>" * 4
    return f"{before}<html><head>{head}<title>T</title></head><body><article>{body}</article></body></html>"


def read(content: bytes, name: str) -> Row:
    (row,) = read_rows(io.BytesIO(content), name, len(content), Fields(), 0)
    return row


@pytest.mark.parametrize(
    ("text", "label", "codec"),
    [
        (ZH, "gbk", "gbk"),
        (ZH + "镕𠀀", "gb2312", "gb18030"),
        (HANT, "Big5", "big5"),
        (HANT + "嘅啲", "big5", "big5hkscs"),
        (JA, "Shift_JIS", "cp932"),
        (JA.replace("①髙﨑", ""), "euc-jp", "euc_jp"),
        (JA.replace("①髙﨑", ""), "iso-2022-jp", "iso2022_jp"),
        (KO, "ks_c_5601-1987", "cp949"),
        (RU, "windows-1251", "cp1251"),
        (RU, "koi8-r", "koi8-r"),
        (FR, "iso-8859-1", "cp1252"),
        (FR, "utf8", "utf-8"),
    ],
)
@pytest.mark.parametrize(
    "declaration",
    [
        '<meta charset="{}">',
        "<meta charset={}>",
        "<META HTTP-EQUIV='Content-Type' CONTENT='text/html; charset={}'>",
        '<!-- <meta charset="koi8-u"> -->' + SCRIPTS + '<meta name="description" content="a > b"><meta charset="{}"/>',
    ],
)
def test_a_page_is_read_as_it_declares(text: str, label: str, codec: str, declaration: str) -> None:
    content = page(text, declaration.format(label)).encode(codec)
    found = decode_page(content)
    assert found is not None
    assert text in found.text
    assert found.certainty == "declared"
    for name, stored in (("a.html", content), ("a.htm.gz", gzip.compress(content))):
        row = read(stored, name)
        assert text in str(row.text), name
        assert row.encoding == "declared"


def test_the_header_comes_before_the_page_and_a_mark_before_both() -> None:
    russian = page(RU, '<meta charset="koi8-r">').encode("cp1251")
    found = decode_page(russian, "text/html; charset=windows-1251")
    assert found is not None
    assert RU in found.text
    for codec in ("utf-8-sig", "utf-16", "utf-32"):
        marked = decode_page(page(ZH, '<meta charset="gbk">').encode(codec), 'text/html; Charset="big5"')
        assert marked is not None
        assert ZH in marked.text, codec
    unmarked = decode_page(page(ZH).encode("utf-16-le"), "text/html; charset=UTF-16LE")
    assert unmarked is not None
    assert ZH in unmarked.text


def test_the_xml_declaration_is_one() -> None:
    found = decode_page(page(HANT, before='<?xml version="1.0" encoding="big5"?>').encode("big5"))
    assert found is not None
    assert HANT in found.text
    assert found.certainty == "declared"
    row = read(page(HANT, before='<?xml version="1.0" encoding="big5"?>').encode("big5"), "a.html")
    assert HANT in str(row.text)


@pytest.mark.parametrize(
    ("text", "codec", "declared", "header"),
    [
        (ZH, "utf-8", "gbk", None),  # an even number of bytes in every sign: GB 18030 decodes such pages too
        (ZH + "渔", "utf-8", "gbk", None),
        (ZH, "gbk", "utf-8", None),
        (ZH, "gbk", "utf-16", None),
        (ZH, "gbk", "utf-7", None),
        (ZH, "gbk", "zlib", None),
        (ZH, "gbk", "", "text/html; charset=ISO-8859-2000"),
        (HANT, "big5", "gb2312", None),
        (FR, "utf-8", "iso-8859-1", "text/html; charset=ISO-8859-1"),
    ],
)
def test_a_wrong_declaration_is_passed_over_and_noted(text: str, codec: str, declared: str, header: str | None) -> None:
    found = decode_page(page(text, f'<meta charset="{declared}">').encode(codec), header)
    assert found is not None
    assert text in found.text
    assert found.certainty == "detected"


def test_a_default_of_the_server_yields_to_the_page() -> None:
    found = decode_page(page(ZH, '<meta charset="gbk">').encode("gbk"), "text/html; charset=ISO-8859-1")
    assert found is not None
    assert (ZH in found.text, found.encoding, found.certainty) == (True, "gb18030", "declared")


@pytest.mark.parametrize("head", ["", SCRIPTS])
@pytest.mark.parametrize(
    ("text", "codec"), [(ZH, "gb18030"), (HANT, "big5"), (KO, "cp949"), (RU, "cp1251"), (RU, "koi8-r"), (FR, "cp1252")]
)
def test_without_a_declaration_the_encoding_is_detected(head: str, text: str, codec: str) -> None:
    row = read(page(text, head).encode(codec), "a.html")
    assert text in str(row.text)
    assert row.encoding == "detected"


def test_a_stray_byte_does_not_turn_a_page_into_signs() -> None:
    content = page(ZH, '<meta charset="utf-8">').encode()
    row = read(content.replace("渔民".encode(), "渔民".encode() + b"\xff", 1), "a.html")
    assert ZH in str(row.text)
    assert row.encoding == "damaged"
    assert isinstance(read(bytes(range(128, 256)) * 9, "a.html").text, str | Rejected)


def test_labels_mean_what_they_mean_to_browsers() -> None:
    assert {label: decoder_of(label) for label in (" GB2312 ", "x-sjis", "latin1", "l9", "tis-620", "rot13")} == {
        " GB2312 ": "gb18030",
        "x-sjis": "cp932",
        "latin1": "cp1252",
        "l9": "iso8859-15",
        "tis-620": "cp874",
        "rot13": None,
    }
