"""Which option a text chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.answers.equal import same_answers
from sapwood.answers.find import chosen_option, find_letter, stated_letter

CHOSEN = [
    ("答案是B选项，因为A和C都不符合题意。", "B"),
    ("故选B项。A项与原文不符。", "B"),
    ("应该选择B，而不是C", "B"),
    ("答案选C，A错在时间", "C"),
    ("正确答案是D这一项，A太绝对。", "D"),
    ("所以答案是 **B**，A 不对", "B"),
    ("答案应为C，不是A", "C"),
    ("The answer is a little subtle: by elimination we get (B).", "B"),
    ("Answer: **C**. Option A is a common mistake.", "C"),
    ("The correct answer is option D, since A contradicts the text.", "D"),
    ("The answer is B. Note that A is close.", "B"),
    ("选B", "B"),
    ("应选B", "B"),
    ("故选：B", "B"),
    ("本题选B", "B"),
    ("本题选B。", "B"),
    ("Ｂ", "B"),
    ("答案：Ｂ", "B"),
    ("b", "B"),
    ("(b)", "B"),
    ("The answer is b.", "B"),
    ("answer: b", "B"),
    ("**B**", "B"),
    ("`B`", "B"),
    ("\\boxed{B}", "B"),
    ("(B)", "B"),
    ("[B]", "B"),
    ("$\\boxed{\\text{(B)}}$", "B"),
    ("The answer is **B**.", "B"),
    ("The answer is (B) Paris.", "B"),
    ("B. Paris", "B"),
    ("B) Paris, since A and C are not", "B"),
    ("不选A，选B", "B"),
    ("不应该选A，应该选B", "B"),
    ("答案不是A，而是B", "B"),
    ("The answer is not A but B", "B"),
    ("The answer cannot be A, so it must be B.", "B"),
    ("I would choose B", "B"),
    ("I'd go with D.", "D"),
    ("option B is correct", "B"),
    ("B is correct, A is not", "B"),
    ("A错误；B正确；C错误", "B"),
    ("选项A错误，选项B正确", "B"),
    ("A is wrong. B is wrong. C is right.", "C"),
    ("A car is fast", None),
    ("I think a dog", None),
    ("I think it is a dog, so C", "C"),
    ("答案是A和C", "AC"),
    ("答案：ABD", "ABD"),
    ("故选A、C", "AC"),
    ("ABD", "ABD"),
    ("A, C", "AC"),
    ("A and C", "AC"),
    ("The correct answers are A and C.", "AC"),
    ("The answers are A, B, and D.", "ABD"),
    ("答案是ACD。", "ACD"),
    ("答案是A或B", "AB"),
    ("正确选项为C", "C"),
    ("正确的是D", "D"),
    ("故答案为：C", "C"),
    ("故答案选C", "C"),
    ("综上所述，选C", "C"),
    ("因此选择D", "D"),
    ("我选择B，因为A不对", "B"),
    ("所以，正确答案是：【B】", "B"),
    ("答案是「C」", "C"),
    ("答案B", "B"),
    ("Answer: (C)", "C"),
    ("Answer:\n\nC", "C"),
    ("**Final Answer**\nC", "C"),
    ("Final answer: C", "C"),
    ("### Answer\n**C**", "C"),
    ("The best answer is D: none", "D"),
    ("My answer is B", "B"),
    ("Therefore, the answer to the question is C because A fails", "C"),
    ("So the correct option would be (D).", "D"),
    ("A: wrong\nB: right\nC: wrong\nSo the answer is B", "B"),
    ("A. no\nB. yes, it is\nTherefore B.", "B"),
    ("B\n\nExplanation: A is common.", "B"),
    ("B，因为A错", "B"),
    ("A因为不对", "A"),
    ("The answer is A", "A"),
    ("The answer is A.", "A"),
    ("Answer: A", "A"),
    ("答案是 A", "A"),
    ("The answer is I.", "I"),
    ("如果选A就错了，答案是B", "B"),
    ("答案是B。如果选A则不符", "B"),
    ("Ｂ選項", "B"),
    ("答案為B", "B"),
    ("應選B", "B"),
    ("選B", "B"),
    ("故選：C", "C"),
    ("正確答案是D", "D"),
    ("選擇C", "C"),
    ("The answer is option (c).", "C"),
    ("the answer is a", "A"),
    ("It is a tricky one. The answer is: a) water", "A"),
    ("Choice C", "C"),
    ("C is the answer", "C"),
    ("B应该是正确答案", "B"),
    ("B是正确的", "B"),
    ("B是正确答案", "B"),
    ("Answer choice: B", "B"),
    ("Option C: water. Because A and D boil", "C"),
    ("Let me think. Vitamin A and vitamin C are... the answer is D", "D"),
    ("So B", "B"),
    ("答案为 $B$", "B"),
    ("答案是选项C", "C"),
    ("这道题的正确答案应该是C，A项错在时间", "C"),
    ("由此可知B项正确，A、C、D项错误", "B"),
    ("排除A、C、D，选B", "B"),
    ("排除A，剩下B", "B"),
    ("A、B、D均错误，故C正确", "C"),
    ("The correct answer is therefore C", "C"),
    ("<answer>B</answer>", "B"),
    ("answer is B?", "B"),
    ("It can't be A, B or C. D", "D"),
    ("Not B. The answer's C.", "C"),
    ("ANSWER: C", "C"),
    ("The ANSWER IS C", "C"),
    ("正确答案：B（注意A是干扰项）", "B"),
    ("A选项", "A"),
    ("答案是：**A. 水**", "A"),
    ("选择A选项，而非B选项", "A"),
]


@pytest.mark.parametrize(("text", "letter"), CHOSEN)
def test_the_letter_that_a_text_chooses(text: str, letter: str | None) -> None:
    assert find_letter(text) == letter


@pytest.mark.parametrize("letter", "ABCDEFGHIJ")
@pytest.mark.parametrize(
    "written", ["答案是{}选项，因为A不对", "The answer is ({}).", r"\boxed{{{}}}", "{}", "故选：{}。"]
)
def test_every_letter(letter: str, written: str) -> None:
    assert find_letter(written.format(letter)) == letter


@pytest.mark.parametrize(
    "text", ["A car is fast", "I think a dog", "A is wrong", "B and more", "Vitamin C and vitamin A"]
)
def test_letters_in_passing_are_not_stated(text: str) -> None:
    assert stated_letter(text) is None


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("Rome", 1),
        ("b", 1),
        ("(B) Rome", 1),
        ("B Rome", 1),
        ("答案是B选项，因为A太远", 1),
        ("B and more", None),
        ("Z", None),
        ("A and B", None),
        ("a city", None),
    ],
)
def test_an_option_is_chosen_by_letter_or_text(text: str, option: int | None) -> None:
    assert chosen_option(text, ["Paris", "Rome", "Oslo"], same_answers) == option


@given(st.text(alphabet="AaBbI答案选是不错、，.()[]*`$\\{} \n", max_size=60))
def test_nothing_that_a_model_writes_breaks_the_reader(text: str) -> None:
    assert (find_letter(text) or "A").isalpha()
