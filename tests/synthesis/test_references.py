from __future__ import annotations

from collections.abc import Sequence

import pytest

from sapwood.generation.cache import Completion, Request
from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.synthesis.item import Item
from sapwood.synthesis.references import BEFORE, FIGURE, PART, PASSAGE, TABLE, SelfContainednessStage, reference
from sapwood.synthesis.stage import Verdict

REFERS = {
    PASSAGE: [
        "According to the passage, what does friction oppose?",
        "What is the main cause of rust mentioned in the text?",
        "Based on the given article, why did the bridge fall?",
        "Which gas does the passage describe as inert?",
        "In the text, which metal melts first?",
        "The article states that ice floats. Why does it?",
        "What does the author suggest as a remedy?",
        "How is inertia defined in this excerpt?",
        "Which of the effects discussed in the above paragraph is the strongest?",
        "As described by the author, what is a quasar?",
        "Read the following passage. What is inertia?",
        "Which three properties of waves are given in this textbook?",
        "根据文章内容，摩擦力的方向是什么？",
        "文中提到的三种力分别是什么？",
        "这篇文章主要介绍了哪种反应？",
        "上述材料说明了什么道理？",
        "根据上文，催化剂起什么作用？",
        "在文中，作者认为水的沸点为何会变化？",
        "本文介绍的算法的时间复杂度是多少？",
        "如前文所述，惯性是什么？",
        "文章指出，光合作用分为几个阶段？",
        "阅读下面的短文，回答问题。",
    ],
    FIGURE: [
        "As shown in the figure, a block rests on a slope. Find the force.",
        "What is the current through $R_2$ in the circuit shown in the diagram?",
        "In Figure 2, which curve belongs to the gas?",
        "Use Fig. 3.4 to find the slope.",
        "The graph below shows the speed of a car. How far does it go?",
        "A ray enters the prism as shown below. At what angle does it leave?",
        "The accompanying photograph is of a cell. What is its largest organelle?",
        "Which region of the following diagram is a solid?",
        "如图所示，物体静止在斜面上，求摩擦力。",
        "下图是某细胞的结构，其中最大的细胞器是什么？",
        "由图可知，该反应是吸热还是放热？",
        "根据图2，求电路中的电流。",
        "右图中的曲线表示什么？",
    ],
    TABLE: [
        "Using the table below, find the mean.",
        "Which of the metals listed in the table has the greatest density?",
        "From the data in Table 3, compute the rate constant.",
        "The following table shows the masses of five planets. Which is the heaviest?",
        "下表给出了五个行星的质量，哪一个最大？",
        "根据表中的数据，计算平均值。",
        "见表2，哪种金属的密度最大？",
    ],
    PART: [
        "Repeat the previous exercise for a mass of 3 kg.",
        "Using the method in Section 4.2, find the root.",
        "What is the main result of this chapter?",
        "Use equation (7) to find the pressure at a depth of 10 m.",
        "How does Theorem 3.1 follow?",
        "As we have seen earlier, light is a wave. What is its speed?",
        "Solve the problem in Example 5 with $g = 10$.",
        "本章介绍了哪几种排序算法？",
        "利用公式（3）求出压强。",
        "参见第二节，动量守恒的条件是什么？",
        "如例3的条件，求其加速度。",
    ],
    BEFORE: [
        "This experiment was repeated with copper. What changed?",
        "They then measured the speed. How large was it?",
        "Why do they repel each other?",
        "How does it depend on temperature?",
        "These results contradict classical physics. In what way?",
        "The above reaction is exothermic. What happens when it is heated?",
        "Such a star ends as a white dwarf. Why?",
        "For the function defined above, find the maximum.",
        "这个实验说明了什么？",
        "该反应的平衡常数是多少？",
        "它的沸点是多少？",
        "以上哪种说法正确？",
    ],
}
STANDS = [
    "What is the force of friction on a block of 2 kg on a level floor with $\\mu = 0.3$?",
    "The passage of a current of 2 A through a resistor of 3 ohms lasts 5 s. How much heat is produced?",
    "How does the passage of time differ for a moving clock?",
    "Find all occurrences of the pattern `ab` in the text `abcab`. How many are there?",
    "Write a function that counts the words in the text that is passed as an argument.",
    "In the graph $G$ with vertices 1 to 5 and all edges, how many cycles of length 3 are there?",
    "A ball rolls off a table 1.2 m high at 3 m/s. How far from the table does it land?",
    "Which element stands in group 1 and period 3 of the periodic table?",
    "Round 0.012345 to 3 significant figures.",
    "Solve the equation 2x + 3 = 11.",
    "Solve the system $x + y = 3$ (1) and $x - y = 1$ (2). What do you get when you add equation (1) and equation (2)?",
    "According to the theory of relativity, can anything be faster than light?",
    "According to the second law of Newton, what happens to a body without a force?",
    "What does Article 5 of the treaty oblige its members to do?",
    "Who is the author of the Principia, and what does it say about gravitation?",
    "What is it called when a solid turns into a gas?",
    "How long does it take light to travel 3 m?",
    "Why is it that ice floats on water?",
    "This is a question of units: how many joules are in a calorie?",
    "It is known that $\\sqrt 2$ is irrational. Prove it.",
    "There are 12 sheep on a farm. The farmer buys 5 more. How many are there now?",
    "Consider the function $f(x) = x^2$. For the function above, find the minimum.",
    "Which section of a conic has two branches?",
    "What is the cross section of a cylinder cut along its axis?",
    "Water flows through a pipe. In this section of the pipe, the radius is 2 cm and the speed 3 m/s. Find the flow.",
    "In the image plane of a lens, where is the sharpest picture of a point at infinity?",
    "In HTML, which element shows a picture, and what does `see Figure 2` mean in `<a>see Figure 2</a>`?",
    "Read the following passage. A man leaves a house at eight, walks for two hours at four kilometres an hour, "
    "rests, and walks back at three kilometres an hour until he is at home again. How long was he on his way?",
    "The following table shows masses.\n\n| body | mass |\n|---|---|\n| A | 2 kg |\n| B | 3 kg |\n\nWhich is larger?",
    "According to the table, which is larger?\n\\begin{tabular}{ll} A & 2 \\\\ B & 3 \\end{tabular}",
    "(a) A car goes 30 km in half an hour. Find its speed. (b) With the result of part (a), find the time for 90 km.",
    "一个质量为2千克的物体放在水平地面上，动摩擦因数为0.3，求摩擦力。",
    "例如图书馆的书架长2米，能放多少本厚2厘米的书？",
    "日本节能技术的发展经历了哪些阶段？",
    "在英文中，单词“force”的含义是什么？",
    "一个文本文件有100行，每行80个字符，共有多少字节？",
    "在编译器中，上下文无关文法用来做什么？",
    "例如表面张力使水滴成球形，这是为什么？",
    "图灵机由哪几部分组成？",
    "根据材料的密度和体积，如何求它的质量？",
    "其他条件不变时，温度升高对平衡有什么影响？",
    "该如何计算圆的面积？",
    "此外力不变时，弹簧的伸长量是多少？",
    "一张表示人口的地图比例尺为1:1000000，图上5厘米表示多少千米？",
    "已知方程组$x+y=3$（1）和$x-y=1$（2），把方程（1）和方程（2）相加得到什么？",
    "《孔乙己》的作者认为封建科举制度有什么危害？",
    "无向图中有5个顶点，任意两点之间都有边，共有多少条边？",
    "应该文明行车的理由有哪些？",
    "下表给出两个物体的质量。\n\n| 物体 | 质量 |\n|---|---|\n| 甲 | 2千克 |\n| 乙 | 3千克 |\n\n哪一个较大？",
]


@pytest.mark.parametrize(("kind", "question"), [(kind, text) for kind, texts in REFERS.items() for text in texts])
def test_references_are_found(kind: str, question: str) -> None:
    assert reference(question) == kind


@pytest.mark.parametrize("question", STANDS)
def test_what_stands_alone_is_left_alone(question: str) -> None:
    assert reference(question) is None


def nobody(server: ModelServer, requests: Sequence[Request]) -> list[Completion | Failure]:
    raise AssertionError("nobody is to be asked")


SNIPPET = (
    "A hydrogen atom in its ground state absorbs a photon of 12.1 eV. To which level does its electron rise, and how "
    "many different photons may be emitted when it falls back? Assume that the energy levels follow the Bohr model."
)
CHINESE = "氢原子处于基态，吸收一个能量为12.1电子伏的光子后，电子跃迁到哪一能级？返回基态时，最多发出几种光子？"


def verdict(question: str, language: str = "en", snippet: str = SNIPPET, **parts: str) -> Verdict:
    item = Item(
        id="1",
        question=question,
        answer=parts.pop("answer", "n = 3"),
        discipline="physics",
        format="problem-solution",
        language=language,
        snippet=snippet,
        **parts,  # type: ignore[arg-type]
    )
    (found,) = SelfContainednessStage().check([item], nobody)
    assert isinstance(found, Verdict)
    return found


def test_an_item_that_stands_alone_passes() -> None:
    found = verdict("A hydrogen atom takes up 10.2 eV in its ground state. Which level does it reach?")
    assert (found.passed, found.reason) == (True, "")
    assert found.detail["copied"] < 0.3


def test_a_question_that_refers_does_not() -> None:
    found = verdict("According to the passage, which level does the atom reach?")
    assert (found.passed, found.reason) == (False, PASSAGE)


@pytest.mark.parametrize(
    "parts",
    [
        {"reasoning": "The passage says that the levels follow the Bohr model."},
        {"answer": "It is not mentioned in the text."},
        {"reasoning": "根据文章内容，能级遵循玻尔模型。"},
    ],
)
def test_nor_does_its_solution_refer(parts: dict[str, str]) -> None:
    found = verdict("Which level does hydrogen reach with 12.1 eV?", **parts)
    assert found.reason == "the solution refers to a passage"


def test_a_solution_may_speak_of_figures_and_of_what_it_said() -> None:
    assert verdict(
        "Which level does hydrogen reach with 12.1 eV?", reasoning="By equation (3), and as said above, 3."
    ).passed


def test_a_copied_question_is_refused() -> None:
    assert verdict(SNIPPET).reason == "copied from the page"
    assert verdict(f"Here is a problem. {SNIPPET.upper()}").reason == "copied from the page"
    assert verdict(CHINESE, "zh", CHINESE).reason == "copied from the page"


def test_a_question_that_shares_words_is_no_copy() -> None:
    question = (
        "A hydrogen atom in its ground state absorbs a photon of 12.75 eV. With $E_n = -13.6/n^2$ eV, find the level "
        "that it reaches, and the longest wavelength that it can emit on its way back."
    )
    found = verdict(question)
    assert found.passed
    assert 0.2 < found.detail["copied"] < 0.5


def test_items_without_a_page_are_judged_too() -> None:
    assert verdict("Write a function that adds two numbers.", snippet="").detail == {"copied": 0.0}
