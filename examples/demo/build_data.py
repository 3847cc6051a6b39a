"""Rebuilds the demonstration texts in `data/` from Debian packages. Only needed to rebuild them: they ship ready.

What happens, in the order of the file:

1. Each package is fetched at a fixed version with `apt-get download`, its SHA-256 is compared with the one
   below, and it is unpacked into a temporary folder with `dpkg-deb`. Nothing is installed.
2. Of each HTML page, what is not its text (navigation, tables of contents, footnotes, pictures) is taken out.
   What is left becomes plain text: paragraphs with blank lines between them, lists with marks, code as it stands.
3. A page longer than its collection allows is parted at its section headings, never elsewhere.
4. Short, over-long, repeated and untranslated documents are left out. Of a collection that is larger than its
   budget, pages are taken in the order of a hash of their path, which spreads them evenly over the source.
5. The documents are written in the order of their origin as zstd-compressed JSON lines, beside the licence texts
   and a file of checksums, and the table of `data/README.md` is printed.

Run on Debian 12 after `apt-get update`, with `pip install beautifulsoup4==4.15.0 soupsieve==2.6 orjson
zstandard==0.25.0`:

    python examples/demo/build_data.py

The files come out the same to the byte with the versions of these packages; with another zstandard, the JSON
lines in them do. When a mirror no longer holds one of the Debian versions, snapshot.debian.org does.
"""

from __future__ import annotations

import hashlib
import re
import statistics
import subprocess
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import zstandard
from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag

DATA = Path(__file__).resolve().parent / "data"
COMMON_LICENCES = Path("/usr/share/common-licenses")

MINIMUM_CHARACTERS = 300
MINIMUM_HAN_SHARE = 0.30
"""In the Chinese collections, of a document's characters that are not white space."""
MAXIMUM_UNTRANSLATED_SHARE = 0.15
"""In the Chinese collections, of a document's characters, those in English paragraphs."""

PACKAGES = {
    "anarchism": ("15.3-3", "cf21c10948b00e923c62eb31c39a3390413fa26c5ee0e3b925feb0ec7fe42948"),
    "debian-faq": ("11.1", "427426e0cfa6888622fc1d72631071cb4b5a1f86ccde722e7820bcef284de5d0"),
    "debian-faq-zh-cn": ("11.1", "3545356b1aa04d87e91dd15e8406210cf5b4f476662e597897bcb42234591758"),
    "debian-handbook": ("11.20220922", "3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa"),
    "debian-reference-en": ("2.100", "9f31d3a17df505de09689ca255512ea58c1fc47c59bb1b0c7bf1c23362e9743f"),
    "debian-reference-zh-cn": ("2.100", "6d2d8d9a646397e28b04cdff23d2e4374101ebf9be348e35961af62c8a2d0977"),
    "installation-guide-amd64": (
        "20230508+deb12u1",
        "812c43e1dc906daf671e3efe953dc023205c238e5bd5a3021ce4ca142793573a",
    ),
    "libreoffice-help-zh-cn": (
        "4:7.4.7-1+deb12u14",
        "db867cdece4c2f9c7eebe65e519c6cf386fdcf49d6e061db3dffec893b3e1dee",
    ),
    "maint-guide": ("1.2.53", "762c8a400a36668d2eb814a3ba356b06488fd889dfce478eb11d5cfb189a47b5"),
    "maint-guide-zh-cn": ("1.2.53", "d605b60a034f63857bc44205aed5ad7ba6e17d0d2b1ba5e79179b4e7ec4ee4bc"),
    "python3.11-doc": ("3.11.2-6+deb12u8", "50eb63e7f636c4281e9ce1b8f10386f1def42159eddce34fc1f41c46261df71b"),
}
"""Version and SHA-256 of each package."""


@dataclass(frozen=True, slots=True)
class Source:
    """Pages of one package that make part of a collection."""

    package: str
    pages: str
    """A regular expression for the paths of the pages below the root of the package."""
    licence: str
    """An SPDX expression, after the package's own `/usr/share/doc/*/copyright`."""
    body: str = "body"
    """The CSS selector of the element that holds the page's own text."""
    section_bytes: int = 20_000
    """A page whose text takes more bytes of UTF-8 than this is parted into its sections."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One JSONL file."""

    name: str
    sources: tuple[Source, ...]
    chinese: bool = False
    maximum_bytes: int = 40_000
    """Documents that no section heading brings under this are left out."""
    budget_bytes: int = 1_500_000
    """Pages are taken until their documents fill this many bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class Document:
    """One line of a file."""

    text: str
    title: str
    origin: str
    """Package, version, and path inside the package, with the anchor of the section if it is not a whole page."""
    licence: str


HANDBOOK_LICENCE = "GPL-2.0-or-later OR CC-BY-SA-3.0"

COLLECTIONS = (
    Collection(
        "manual-zh",
        (
            Source(
                "debian-handbook",
                r"usr/share/doc/debian-handbook/html/zh-CN/(?!index)[^/]*",
                HANDBOOK_LICENCE,
                section_bytes=8_000,  # only some of its sections are translated
            ),
            Source("debian-reference-zh-cn", r"usr/share/debian-reference/(pr|ch)[^/]*", "GPL-2.0-or-later"),
            Source(
                "installation-guide-amd64",
                r"usr/share/doc/installation-guide-amd64/zh_CN/(?!index|apf)[^/]*",
                "GPL-2.0-only",
            ),
            Source("debian-faq-zh-cn", r"usr/share/doc/debian/FAQ/zh-cn/(?!index)[^/]*", "LicenseRef-Debian-FAQ"),
            Source("maint-guide-zh-cn", r"usr/share/doc/maint-guide-zh-cn/html/(?!index)[^/]*", "GPL-2.0-or-later"),
        ),
        chinese=True,
    ),
    Collection(
        "help-zh",
        (
            Source(
                "libreoffice-help-zh-cn",
                r"usr/share/libreoffice/help/zh-CN/text/.*",
                "MPL-2.0",
                body="#DisplayArea",
            ),
        ),
        chinese=True,
    ),
    Collection(
        "manual-en",
        (
            Source("debian-handbook", r"usr/share/doc/debian-handbook/html/en-US/(?!index)[^/]*", HANDBOOK_LICENCE),
            Source("debian-reference-en", r"usr/share/debian-reference/(pr|ch)[^/]*", "GPL-2.0-or-later"),
            Source(
                "installation-guide-amd64",
                r"usr/share/doc/installation-guide-amd64/en/(?!index|apf)[^/]*",
                "GPL-2.0-only",
            ),
            Source("debian-faq", r"usr/share/doc/debian/FAQ/(?!index)[^/]*\.en", "LicenseRef-Debian-FAQ"),
            Source("maint-guide", r"usr/share/doc/maint-guide/html/(?!index)[^/]*", "GPL-2.0-or-later"),
        ),
    ),
    Collection(
        "code-en",
        (
            Source(
                "python3.11-doc",
                r"usr/share/doc/python3\.11/html/(library|tutorial|howto)/(?!index)[^/]*",
                "PSF-2.0",
                body="[role=main]",
            ),
        ),
        budget_bytes=1_000_000,
    ),
    Collection(
        "book-en",
        (
            Source(
                "anarchism",
                r"usr/share/doc/anarchism/html/(sec[A-J](int|\d+)|vol\dintro|intro|10years)",
                "GPL-2.0-or-later",
                body=".content",
                section_bytes=1_000_000,  # whole pages only
            ),
        ),
        maximum_bytes=30_000,
        budget_bytes=500_000,
    ),
)

NOT_TEXT = (
    "script, style, img, title, meta, .navheader, .navfooter, .docnav, #banner, p#title, .toc, .toctree-wrapper, "
    ".contents, .indexterm, .footnote, .footnotes, .footnote-reference, .headerlink, .legalnotice, .figure, "
    ".mediaobject, .book-navigation, .relatedtopics, .howtoget, .embedded, .icontable, .noteicon, "
    '.rubric:-soup-contains("Footnotes")'
)
SECTION_CLASSES = {"section", "sect1", "sect2", "sect3", "sect4", "chapter", "appendix", "preface"}
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BLOCKS = (
    *HEADINGS, "p", "div", "section", "article", "aside", "blockquote", "pre", "ul", "ol", "dl", "table", "li",
    "dt", "dd", "hr", "center", "figure", "details", "summary", "address",
)  # fmt: skip
LINE_BREAK = "\u2028"
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
WIDE = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
DAMAGED = re.compile("[\u0080-\u009f\ufffd]|[\u4e00-\u9fff][\u00a8\u00ae]")
"""Characters that a wrong decoding left behind in a few of the packages' own pages."""
NEWLINE_IN_CHINESE = re.compile(f"(?<=[{WIDE}])[ \t]*\n\\s*(?=[{WIDE}])")


def fetch(package: str, folder: Path) -> Path:
    """Downloads and unpacks a package; returns its root."""
    version, sha256 = PACKAGES[package]
    archives = folder / "archives" / package
    archives.mkdir(parents=True)
    subprocess.run(["apt-get", "download", "-qq", f"{package}={version}"], cwd=archives, check=True)
    (archive,) = archives.glob("*.deb")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{archive.name} has the SHA-256 {found}; {sha256} was expected.")
    root = folder / "unpacked" / package
    root.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
    return root


def clean(page: Tag) -> None:
    """Takes out of a page what is not its text."""
    for element in page.select(NOT_TEXT):
        element.decompose()
    for link in page.select("div > p.paragraph > a[href]:only-child"):  # a help text's "see also"
        paragraph = link.find_parent("p")
        if paragraph and link.get_text(strip=True) == paragraph.get_text(strip=True):
            paragraph.decompose()
    for switch in page.select(".switch, .switchinline"):  # a help text's variants for systems: keep the common one
        variants = switch.find_all("span", recursive=False)
        if any(is_common(variant) for variant in variants):
            for variant in variants:
                if not is_common(variant):
                    variant.decompose()


def is_common(variant: Tag) -> bool:
    return str(variant.get("id", "")).startswith("default")


def text_of(element: Tag) -> str:
    """The plain text of an element: its blocks, with blank lines between them."""
    return "\n\n".join(blocks_of(element))


def blocks_of(element: Tag) -> list[str]:
    """The paragraphs, lists, tables and pieces of code of an element, each as one string."""
    blocks: list[str] = []
    inline: list[str] = []
    for child in element.children:
        if isinstance(child, Tag) and (child.name in BLOCKS or child.find(BLOCKS)):
            blocks += [tidy("".join(inline)), *block_of(child)]
            inline = []
        else:
            inline += inline_of(child)
    return [block for block in [*blocks, tidy("".join(inline))] if block]


def block_of(element: Tag) -> list[str]:
    match element.name:
        case "pre":
            lines = (line.rstrip() for line in element.get_text().expandtabs().split("\n"))
            return [textwrap.dedent("\n".join(lines)).strip("\n")]
        case "ul" | "ol":
            return [list_of(element)]
        case "dl":
            return [definitions_of(element)]
        case "table":
            return table_of(element)
        case _:
            return blocks_of(element)


def inline_of(node: object) -> Iterator[str]:
    if type(node) is NavigableString:  # and not one of its subclasses: comments, declarations
        yield str(node)
    elif isinstance(node, Tag):
        if node.name == "br":
            yield LINE_BREAK
        for child in node.children:
            yield from inline_of(child)


def tidy(text: str) -> str:
    """Runs of white space become one space; none is left where a line of Chinese was broken in the source."""
    text = NEWLINE_IN_CHINESE.sub("", re.sub("[\u200b\u00ad\ufeff]", "", text))
    lines = (" ".join(line.split()) for line in text.split(LINE_BREAK))
    return "\n".join(line for line in lines if line)


def list_of(element: Tag) -> str:
    items: list[str] = []
    for item in element.find_all("li", recursive=False):
        mark = f"{len(items) + 1}. " if element.name == "ol" else "- "
        if blocks := blocks_of(item):
            items.append(mark + textwrap.indent(join(blocks), " " * len(mark)).lstrip())
    return join(items or blocks_of(element))


def definitions_of(element: Tag) -> str:
    entries: list[str] = []
    for part in element.find_all(("dt", "dd"), recursive=False):
        blocks = blocks_of(part)
        if part.name == "dt" or not entries:
            entries.append("\n".join(blocks))
        elif blocks:
            entries[-1] += "\n" + textwrap.indent(join(blocks), "    ")
    return join([entry for entry in entries if entry])


def join(blocks: list[str]) -> str:
    """Under each other, with blank lines between them if one of them is itself long or has several lines."""
    spacious = any("\n\n" in block or len(block) > 200 for block in blocks)
    return ("\n\n" if spacious else "\n").join(blocks)


def table_of(table: Tag) -> list[str]:
    """One line a row, with `|` between the cells; rows of one cell only lay out the page and are taken as text."""
    blocks = []
    rows: list[str] = []
    for row in table.find_all("tr"):
        if row.find_parent("table") is not table:
            continue
        cells = [blocks_of(cell) for cell in row.find_all(("td", "th"), recursive=False)]
        filled = [cell for cell in cells if cell]
        if len(filled) == 1:
            blocks += ["\n".join(rows), *filled[0]]
            rows = []
        elif filled:
            while not cells[-1]:
                cells.pop()
            rows.append(" | ".join(" ".join(" ".join(cell).split()) for cell in cells))
    caption = [text_of(caption) for caption in table.find_all("caption", recursive=False)]
    return [*caption, *blocks, "\n".join(rows)]


def is_section(tag: Tag) -> bool:
    return tag.name == "section" or not SECTION_CLASSES.isdisjoint(tag.get("class") or ())


def subsections(element: Tag) -> Iterator[Tag]:
    """The sections inside an element that are not inside another one of these."""
    for child in element.find_all(recursive=False):
        if is_section(child):
            yield child
        else:
            yield from subsections(child)


def parts_of(element: Tag, limit: int) -> Iterator[tuple[Tag, str]]:
    """The element with its text or, if that is longer than `limit` bytes, those of its subsections.

    What stands before the first subsection makes a part of its own.
    """
    text = text_of(element)
    inner = list(subsections(element)) if len(text.encode()) > limit else []
    for section in inner:
        section.extract()
    yield element, text_of(element) if inner else text
    for section in inner:
        yield from parts_of(section, limit)


def heading_of(element: Tag) -> str:
    heading = element.find(HEADINGS)
    return " ".join(heading.get_text().split()) if heading else ""


def anchor_of(element: Tag) -> str:
    """The identifier of a section: its own, or that of the anchor in its heading."""
    heading = element.find(HEADINGS)
    anchors = [element, *(heading.find_all("a") if heading else ())]
    names = [str(anchor.get("id") or anchor.get("name") or "") for anchor in anchors]
    return next((name for name in names if name), "")


def documents_of(root: Path, name: str, source: Source) -> Iterator[Document]:
    """The documents of one page."""
    page = BeautifulSoup((root / name).read_bytes(), "html.parser", from_encoding="utf-8")
    page_title = " ".join(page.title.get_text().split()) if page.title else ""
    body = page.select_one(source.body)
    if body is None:
        return
    clean(body)
    title = heading_of(body) or page_title
    origin = f"{source.package} {PACKAGES[source.package][0]} {name}"
    for element, text in parts_of(body, source.section_bytes):
        anchor = "" if element is body else anchor_of(element)
        heading = heading_of(element)
        yield Document(
            text,
            title if heading in ("", title) else f"{title} / {heading}",
            f"{origin}#{anchor}" if anchor else origin,
            source.licence,
        )


def han_share(text: str) -> float:
    return len(HAN.findall(text)) / max(1, len(re.sub(r"\s", "", text)))


def untranslated_share(text: str) -> float:
    """How much of a text stands in English paragraphs: lines of at least ten words and no Chinese."""
    lines = [line for line in text.split("\n") if not HAN.search(line) and len(re.findall("[a-z]+", line)) >= 10]
    return sum(map(len, lines)) / len(text)


def fits(document: Document, collection: Collection) -> bool:
    text = document.text
    if len(text) < MINIMUM_CHARACTERS or len(text.encode()) > collection.maximum_bytes or DAMAGED.search(text):
        return False
    return not collection.chinese or (
        han_share(text) >= MINIMUM_HAN_SHARE and untranslated_share(text) <= MAXIMUM_UNTRANSLATED_SHARE
    )


def pages_of(source: Source, root: Path) -> Iterator[str]:
    """The paths of a source's pages below the root of its package."""
    for path in root.rglob("*.html"):
        name = path.relative_to(root).as_posix()
        if not path.is_symlink() and re.fullmatch(source.pages + r"\.html", name):
            yield name


def collect(collection: Collection, roots: dict[str, Path]) -> list[Document]:
    """The documents of a collection, in the order of their origin."""
    pages = [(name, source) for source in collection.sources for name in pages_of(source, roots[source.package])]
    pages.sort(key=lambda page: hashlib.sha256(page[0].encode()).digest())
    taken: dict[str, Document] = {}
    size = 0
    for name, source in pages:
        if size >= collection.budget_bytes:
            break
        for document in documents_of(roots[source.package], name, source):
            if fits(document, collection) and document.text not in taken:
                taken[document.text] = document
                size += len(document.text.encode())
    return sorted(taken.values(), key=lambda document: document.origin)


def write(collection: Collection, documents: list[Document]) -> Path:
    """Writes the JSON lines of a collection and prints its row of the table in `data/README.md`."""
    lines = b"".join(orjson.dumps(asdict(document), option=orjson.OPT_APPEND_NEWLINE) for document in documents)
    path = DATA / f"{collection.name}.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor(level=19, write_checksum=True).compress(lines))
    texts = [document.text for document in documents]
    lengths = " / ".join(f"{quartile:,.0f}" for quartile in statistics.quantiles(map(len, texts), n=4))
    packages = Counter(document.origin.split()[0] for document in documents)
    cells = (
        f"`{path.name}`",
        f"{len(texts):,}",
        f"{sum(map(len, texts)):,}",
        f"{sum(len(text.encode()) for text in texts):,}",
        f"{han_share(''.join(texts)):.1%}",
        lengths,
        f"{path.stat().st_size:,}",
        ", ".join(f"{package} {count:,}" for package, count in sorted(packages.items())),
    )
    print("| " + " | ".join(cells) + " |")
    return path


def write_licences(roots: dict[str, Path]) -> None:
    """Copies the copyright file of each package, and the licence texts these refer to."""
    folder = DATA / "LICENSES"
    folder.mkdir(exist_ok=True)
    for package, root in roots.items():
        (folder / f"{package}.copyright.txt").write_bytes((root / f"usr/share/doc/{package}/copyright").read_bytes())
    for licence in ("GPL-2", "MPL-2.0"):
        (folder / f"{licence}.txt").write_bytes((COMMON_LICENCES / licence).read_bytes())


def main() -> None:
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        roots = {package: fetch(package, Path(folder)) for package in PACKAGES}
        paths = [write(collection, collect(collection, roots)) for collection in COLLECTIONS]
        write_licences(roots)
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(paths))
    (DATA / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main()
