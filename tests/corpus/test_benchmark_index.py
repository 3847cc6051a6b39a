from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from sapwood.corpus.benchmark_index import BenchmarkIndex, Item
from sapwood.corpus.contamination import texts_of

Layout = Callable[[str, Sequence[str]], str]

QUESTIONS: dict[str, list[tuple[str, list[str]]]] = {
    "en": [
        ("The organ that pumps blood is the", ["heart", "liver", "lung", "kidney"]),
        ("Which law relates current and voltage?", ["Ohm's law", "Hooke's law", "Boyle's law", "Snell's law"]),
        (
            "A firm maximises profit where",
            [
                "marginal revenue equals marginal cost",
                "price equals average cost",
                "demand is unit elastic",
                "total revenue is greatest",
            ],
        ),
    ],
    "zh": [
        ("细胞中合成蛋白质的场所是", ["核糖体", "线粒体", "高尔基体", "溶酶体"]),
        ("我国最早的港口法规颁布于", ["唐代", "宋代", "元代", "明代"]),
        ("《海上书》的作者是", ["林远舟", "周望潮", "陈帆", "许星河"]),
    ],
    "hi": [("पानी का रासायनिक सूत्र इनमें से कौन सा है", ["हाइड्रोजन और ऑक्सीजन", "ऑक्सीजन", "कार्बन", "नाइट्रोजन गैस"])],
    "th": [("อวัยวะใดทำหน้าที่สูบฉีดโลหิต", ["หัวใจ", "ตับ", "ปอด", "ไต"])],
    "ar": [("ما هو العضو الذي يضخ الدم في الجسم", ["القلب", "الكبد", "الرئة", "الكلية"])],
    "ja": [("血液を送り出す器官はどれか", ["心臓", "肝臓", "肺", "腎臓"])],
}
PAGE = "This page is a quiz for the weekend, 供同学们练习。\n\n{}\n\nMore questions are on the next page. 请看下一页。"


def lettered(label: str, joiner: str = "\n") -> Layout:
    return lambda question, options: (
        f"1. {question}（　）{joiner}"
        + joiner.join(label.format("ABCD"[number], number + 1) + option for number, option in enumerate(options))
    )


LAYOUTS: dict[str, Layout] = {
    "A.": lettered("{0}. "),
    "A. on one line": lettered("{0}. ", "  "),
    "(A)": lettered("({0}) "),
    "（A）": lettered("（{0}）"),
    "A、": lettered("{0}、"),
    "A．": lettered("{0}．"),
    "1)": lettered("{1}) "),
    "Option A:": lettered("Option {0}: "),
    "选项A：": lettered("选项{0}："),
    "bullets": lettered("- "),
    "answer line": lambda question, options: lettered("{0}. ")(question, options) + "\n【答案】A",
    "table": lambda question, options: f"| {question} | " + " | ".join(options) + " | A |",
    "other order": lambda question, options: lettered("{0}. ")(question, [*options[1:], options[0]]),
}
FORMS: dict[str, Callable[[str, list[str]], object]] = {
    "keys": lambda question, options: {
        "id": "quiz-17",
        "question": question,
        **dict(zip("ABCD", options, strict=True)),
    },
    "list": lambda question, options: {"subject": "school", "question": question, "choices": options, "answer": 0},
    "labelled": lambda question, options: {
        "answer": "A",
        "options": [f"({label}){option}" for label, option in zip("ABCD", options, strict=True)],
        "question": question,
    },
    "nested": lambda question, options: {
        "question": {
            "stem": question,
            "choices": [{"label": x, "text": y} for x, y in zip("ABCD", options, strict=True)],
        }
    },
}


def index_of(*values: object) -> BenchmarkIndex:
    return BenchmarkIndex.build([Item("b", number, tuple(texts_of(value))) for number, value in enumerate(values)], 8)


@pytest.mark.parametrize("form", FORMS)
def test_items_with_options_are_found_in_every_layout(form: str) -> None:
    rows = [row for rows in QUESTIONS.values() for row in rows]
    index = index_of(*(FORMS[form](question, options) for question, options in rows))
    for layout in LAYOUTS.values():
        for number, row in enumerate(rows):
            page = PAGE.format(layout(*row))
            (hit,) = index.find(page, 0.3)
            assert hit.item == number
            assert hit.overlap > 0.7
            assert page[hit.start : hit.end].startswith(row[0][:6].strip("《"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_item_that_is_one_text_is_found_with_other_labels(layout: str) -> None:
    row = QUESTIONS["zh"][0]
    prompt = "题目：" + lettered("{0}. ")(*row) + "\n请选出正确的一项。"
    assert [hit.item for hit in index_of({"prompt": prompt}).find(PAGE.format(LAYOUTS[layout](*row)), 0.3)] == [0]


@pytest.mark.parametrize(
    "page",
    [
        "As every book says, the organ that pumps blood is the heart. The liver stores sugar, and much else besides.",
        "In the model a firm maximises profit where marginal revenue equals marginal cost, as was shown by Cournot.",
        "细胞中合成蛋白质的场所是核糖体，它由蛋白质和核糖核酸构成。",
        "唐代、宋代、元代、明代的港口各不相同。",
        "The heart, the liver, the lung and the kidney are organs. A. heart B. liver C. lung D. kidney",
    ],
)
def test_what_a_question_shares_with_prose_is_no_leak(page: str) -> None:
    rows = [FORMS["keys"](*row) for language in ("en", "zh") for row in QUESTIONS[language]]
    assert index_of(*rows).find(PAGE.format(page), 0.3) == []


def test_formulas_alone_are_no_leak() -> None:
    values = [
        {"question": "Simplify the expression.", "choices": ["x // a + x // b", "a^2 + b^2", "[3,3,3],[5,5,5]"]},
        {"choices": ["rises by a factor of 10", "falls by a factor of 10", "rises by a factor of 2", "stays as it is"]},
    ]
    page = "x // a + x // b, [3,3,3],[5,5,5] and a^2 + b^2 = c^2. If it rises by a factor of 8, the error "
    page += "falls by a factor of 64, and then rises by a factor of 3 and falls by a factor of 9."
    assert index_of(*values).find(PAGE.format(page), 0.3) == []


def test_the_gap_between_pieces_is_short() -> None:
    question, options = QUESTIONS["en"][0]
    apart = question + "".join(f" {'word ' * 12}{option}" for option in options)
    assert index_of(FORMS["keys"](question, options)).find(PAGE.format(apart), 0.3) == []


def test_a_problem_and_its_question_are_found_by_the_words_of_both() -> None:
    problem, question = "A rectangular roof shingle is 10 inches long and 7 inches wide.", "What is its area?"
    item = Item("asdiv", 0, (problem, question, "Area", "70 (square inches)", "10*7=70"))
    index = BenchmarkIndex.build([item], 8)
    page = "Some roofs need hundreds of them. {} Such sums are easy once they are drawn."
    assert [hit.item for hit in index.find(page.format(f"{problem} {question}"), 0.3)] == [0]
    assert not index.find(page.format("What is its area? A shingle is 10 inches long and 7 inches wide."), 0.3)


def test_a_short_question_of_ten_words_is_found_alone() -> None:
    question = "What is the capital of the island republic in the story of the whale"
    index = index_of({"question": question, "answer": "Northport"}, {"question": "What is five plus seven?"})
    assert [hit.item for hit in index.find(PAGE.format(question + "?"), 0.3)] == [0]
    assert index.find(PAGE.format("What is five plus seven?"), 0.3) == []
    assert index.findable() == {("b", 0), ("b", 1)}


@pytest.mark.parametrize(("item", "page"), [("simplified", "traditional"), ("traditional", "simplified")])
def test_scripts_of_chinese_are_compared_as_one(item: str, page: str) -> None:
    texts = {
        "simplified": "某渔村有船三十二艘，其中四分之三在清晨出海，想象坐标轴上的里程，求这一天共带回多少斤鱼",
        "traditional": "某漁村有船三十二艘，其中四分之三在清晨出海，想像座標軸上的里程，求這一天共帶回多少斤魚",
    }
    (hit,) = index_of({"question": texts[item]}).find(PAGE.format(texts[page]), 0.3)
    assert hit.overlap == 1


def test_radicals_and_decomposed_letters_are_found() -> None:
    chinese = "某小学用一台长长的机器见到了八门大炮，求一共用了多少天"
    german = "Die Größe der Wände ändert sich über die Jahre für jede größere Tür der Häuser in München erheblich"
    index = index_of({"q": chinese}, {"q": german})
    radicals = (
        chinese.replace("小", "⼩").replace("用", "⽤").replace("一", "⼀").replace("长", "⻓").replace("见", "⻅")
    )
    decomposed = german.replace("ö", "o\u0308").replace("ä", "a\u0308").replace("ü", "u\u0308")
    for number, page in enumerate((radicals, decomposed)):
        assert [(hit.item, hit.overlap) for hit in index.find(PAGE.format(page), 0.3)] == [(number, 1)]
