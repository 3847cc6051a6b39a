# ruff: noqa: E501 - markup reads best in one piece
from __future__ import annotations

import pytest

from sapwood.corpus.formats import Rejected
from sapwood.corpus.formats.page import extract_text
from sapwood.corpus.formats.science import write_out

pytest.importorskip("trafilatura", reason="needs the extra `web`")

EN = "The harbour keeps records of what is measured there every day, and the teachers of the town like to show them. "
ZH = "港口每天都保存着那里测量的记录，镇上的老师们喜欢把这些记录拿给学生们看。"
MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML"{}>{}</math>'
FRACTION = "<mrow><mfrac><mn>1</mn><mi>n</mi></mfrac><mo>+</mo><msup><mi>x</mi><mn>2</mn></msup></mrow>"
TEX = '<annotation encoding="application/x-tex">{}</annotation>'

PAGES = [
    ("exponents", "A mole has 6.02×10<sup>23</sup> molecules, and 10<sup>−9</sup> m is small.", ["10^23 mol", "10^−9 m"]),
    ("formulas of matter", "Burn C<sub>6</sub>H<sub>12</sub>O<sub>6</sub> for CO<sub>2</sub>.", ["C_6H_12O_6", "CO_2."]),
    ("ions", "Na<sup>+</sup>, Ca<sup>2+</sup> and SO<sub>4</sub><sup>2−</sup> are dissolved.", ["Na^+,", "Ca^2+", "SO_4^2−"]),
    ("sums in exponents", "Grows as x<sup>n + 1</sup>, with e<sup>iπ</sup>t.", ["x^{n + 1}", "e^{iπ}t"]),
    ("ordinals", "On the 1<sup>st</sup> and the 22<sup>nd</sup> of May.", ["1st", "22nd"]),
    ("notes", 'It was large<sup class="reference"><a href="#cite-4">[4]</a></sup> then.', ["large[4] then"]),
    ("KaTeX", f'So <span class="katex"><span class="katex-mathml">{MATH.format("", "<semantics><mi>E</mi>" + TEX.format("E=mc^2") + "</semantics>")}</span><span class="katex-html" aria-hidden="true"><span>E</span>=mc2</span></span> holds.', ["So $E=mc^2$ holds"]),
    ("KaTeX display", f'<span class="katex-display"><span class="katex"><span class="katex-mathml">{MATH.format(" display=block", "<semantics><mi>a</mi>" + TEX.format("a_n = b") + "</semantics>")}</span><span class="katex-html">an=b</span></span></span>', ["$$a_n = b$$"]),
    ("MathJax 2", 'Root <span class="MathJax_Preview">√2</span><span class="MathJax" id="M">√2</span><script type="math/tex">\\sqrt{2}</script> is real.', ["Root $\\sqrt{2}$ is real"]),
    ("MathJax 2 display", '<div class="MathJax_Display">∑k</div><script type="math/tex; mode=display">% <![CDATA[\n\\sum_k k %]]></script>', ["$$\\sum_k k"]),
    ("MathJax 3", f'Then <mjx-container class="MathJax"><mjx-math>1n+x2</mjx-math><mjx-assistive-mml>{MATH.format("", FRACTION)}</mjx-assistive-mml></mjx-container> follows.', ["Then $\\frac{1}{n} + x^{2}$ follows"]),
    ("MediaWiki", 'Let <span class="mwe-math-element"><span style="display: none;">' + MATH.format(' alttext="{\\displaystyle \\int _{0}^{1}x\\,dx}"', "<mi>x</mi>") + '</span><img src="x.svg" class="mwe-math-fallback-image-inline" alt="{\\displaystyle \\int _{0}^{1}x\\,dx}"></span> be.', ["Let $\\int _{0}^{1}x\\,dx$ be"]),
    ("LaTeXML", "With " + MATH.format(' alttext="\\alpha\\leq\\beta" class="ltx_Math" display="inline"', "<mi>α</mi>") + " given.", ["With $\\alpha\\leq\\beta$ given"]),
    ("images", 'As <img class="latex" alt="a^2+b^2" src="/x.png"> and <img eeimg="1" src="https://www.zhihu.com/equation?tex=%5Cpi+r%5E2" alt=""> say.', ["As $a^2+b^2$ and $\\pi r^2$ say"]),
    ("choices", '<p>Which of them is a liquid?</p><ol type="A"><li>Water at home</li><li>Steam in a pipe</li><li><p>Ice outside</p></li></ol>', ["A. Water at home", "B. Steam in a pipe", "C. Ice outside"]),
    ("counted lists", '<p>In order:</p><ol start="3" reversed><li>three little steps</li><li>two little steps</li></ol><ol style="list-style-type:lower-roman"><li>first of all</li><li value="4">and fourth of all</li></ol>', ["3. three", "2. two", "i. first", "iv. and fourth"]),
]  # fmt: skip

MENU_ZH = (
    '<nav><a href="/">首页</a><a href="/n">新闻中心</a></nav><ul class="menu"><li><a href="/a">关于我们</a></li></ul>'
)
MENU_EN = '<nav><a href="/">Home</a><a href="/n">News centre</a></nav><ul class="menu"><li><a href="/a">About us</a></li></ul>'
SHORT = [
    (MENU_ZH, "渔港今天公布了新的规定，许多渔民还不清楚这些变化。", "他们希望在实行之前能够听取他们的意见。"),
    (MENU_ZH, "学校的图书馆下周起延长开放时间，晚上九点才关门。", "校长说，这是学生们多次提出的要求，现在终于实现了。"),
    (MENU_EN, EN + "It is said that they go back for more than a hundred years.", "Nobody has read them all, " + EN),
    (MENU_EN, "The library of the school stays open until nine from next week on. " + EN, "It is what the students asked for."),
]  # fmt: skip


def article(content: str, around: str = EN) -> bytes:
    content = content if content.startswith("<p>") else f"<p>{content}</p>"
    return (
        f"<html><head><meta charset=utf-8><title>T</title></head><body><nav><a href='/'>Home</a></nav><article>"
        f"<h1>Records</h1><p>{around * 2}</p>{content}<p>{around * 2}</p></article></body></html>"
    ).encode()


@pytest.mark.parametrize(("content", "kept"), [page[1:] for page in PAGES], ids=[page[0] for page in PAGES])
@pytest.mark.parametrize("around", [EN, ZH], ids=["en", "zh"])
def test_what_markup_says_is_kept_as_text(content: str, kept: list[str], around: str) -> None:
    text, _ = extract_text(article(content, around))
    assert not isinstance(text, Rejected)
    assert [part for part in kept if part not in text] == []
    assert around.strip() in text
    assert "Home" not in text
    assert "\u241f" not in text


@pytest.mark.parametrize(("menu", "first", "second"), SHORT)
def test_short_articles_come_without_the_menu(menu: str, first: str, second: str) -> None:
    page = f"<html><head><meta charset=utf-8></head><body>{menu}<div class=content><h1>{first[:6]}</h1><p>{first}</p>"
    page += f"<p>{second}</p></div><div class=footer><a href='/c'>{menu[-30:-16]}</a></div></body></html>"
    text, _ = extract_text(page.encode())
    assert not isinstance(text, Rejected)
    assert first.strip() in text
    assert second.strip() in text
    assert not any(word in text for word in ("首页", "关于我们", "News centre", "About us"))


def test_odd_formulas_do_no_harm() -> None:
    from lxml.html import fromstring

    deep = "<math>" + "<mrow>" * 150 + "<mi>x</mi>" + "</mrow>" * 150 + "</math>"
    long = f'<math alttext="{"x+" * 9000}"></math>'
    tree = fromstring(
        f"<div>a{deep}b<math></math>c{long}<sup></sup>d<ol><li></li></ol><img class=math src='http://[x'>"
        '<math><annotation encoding="application/x-tex">y</annotation><mi>q</mi></math><script>alert(1)</script>e</div>'
    )
    write_out(tree)
    text = tree.text_content()
    assert text.startswith("a$x$b")
    assert "$y$" in text
    assert "x+x+" not in text
