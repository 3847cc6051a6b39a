"""Prompts: what stands in them, and what never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from exams import choice_task, choices, problems, write_rows, writing_task
from sapwood.errors import SapwoodError
from sapwood.recipe.task import Shots, Task
from sapwood.suites.question import Question, put_questions
from sapwood.suites.task_item import load_task_items


def put(task: Task, directory: Path) -> list[Question]:
    return put_questions(task, load_task_items(task, directory))


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    write_rows(tmp_path / "exam.jsonl", choices())
    write_rows(tmp_path / "sums.jsonl", problems())
    return tmp_path


def test_a_choice_is_asked_in_all_forms(exam: Path) -> None:
    question = put(choice_task(description="About {{ subject }}.\n"), exam)[1]
    options = question.item.options
    assert [pair.continuation for pair in question.pairs["cloze"]] == [f" {option}" for option in options]
    assert {pair.context for pair in question.pairs["cloze"]} == {"About b.\nQ: the tree adds a heart of\nA:"}
    assert [tuple(pair) for pair in question.pairs["unconditional"]] == [("", f" {option}") for option in options]
    assert [pair.continuation for pair in question.pairs["letters"]] == [" A", " B", " C", " D"]
    listed = "\n".join(f"{name}. {option}" for name, option in zip("ABCD", options, strict=True))
    assert question.pairs["letters"][0].context == f"About b.\nQ: the tree adds a heart of\n{listed}\nA:"


def test_shots_are_solved_in_the_form_that_is_asked(exam: Path) -> None:
    write_rows(exam / "shots.jsonl", [{**choices(9)[8], "options": ["no", "yes"], "answer": 1}])
    shots = Shots(count=1, files=["shots.jsonl"])
    question = put(choice_task(shots=shots), exam)[0]
    assert question.pairs["cloze"][0].context.startswith(
        "Q: the tree adds a wood of\nA: yes\n\nQ: the tree adds a ring"
    )
    assert "A. no\nB. yes\nA: B\n\nQ:" in question.pairs["letters"][0].context
    asked = put(writing_task(shots=Shots(count=2)), exam)[4]
    assert asked.prompt == "Q: 0 + 1\nA: it is 1\n\nQ: 1 + 2\nA: it is 3\n\nQ: 4 + 5\nA:"
    assert asked.pairs["solution"][0].continuation == " it is 9"


def test_an_item_is_never_shown_to_itself(exam: Path) -> None:
    for task in (choice_task(shots=Shots(count=3)), choice_task(shots=Shots(count=2, same_subject=True))):
        for question in put(task, exam):
            shown = question.pairs["letters"][0].context.split("\n\n")
            assert len(shown) == task.shots.count + 1
            assert len({text.split("A:")[0] for text in shown}) == len(shown)
    # Nor where the file with the shots has it too.
    write_rows(exam / "shots.jsonl", choices(2))
    first, *_, last = put(choice_task(shots=Shots(count=1, files=["shots.jsonl"])), exam)
    assert first.pairs["letters"][0].context.startswith("Q: the tree adds a heart of")
    assert last.pairs["letters"][0].context.startswith("Q: the tree adds a ring of")


def test_shots_can_be_of_the_same_subject(exam: Path) -> None:
    task = choice_task(shots=Shots(count=2, same_subject=True), letters="{{ topic }}")
    for question in put(task, exam):
        assert question.pairs["letters"][0].context.replace("\n\n", " ").split()[::2] == [question.item.subject] * 3
    with pytest.raises(SapwoodError, match="shows 3 solved items of the subject 'a', but there are 2"):
        put(choice_task(shots=Shots(count=3, same_subject=True)), exam)


def test_with_letters_and_shots_only_the_right_option_is_scored_as_text(exam: Path) -> None:
    question = put(choice_task(metric="letters", shots=Shots(count=2)), exam)[1]
    assert set(question.pairs) == {"solution", "letters"}
    assert question.pairs["solution"][0].continuation == f" {question.item.answer}"
    assert set(put(choice_task(metric="letters"), exam)[1].pairs) == {"cloze", "unconditional", "letters"}


def test_with_bits_nothing_is_written(exam: Path) -> None:
    assert put(writing_task(), exam)[0].prompt is not None
    assert put(writing_task(metric="bits"), exam)[0].prompt is None


def test_the_hash_knows_every_word(exam: Path) -> None:
    plain = [question.hash for question in put(choice_task(), exam)]
    assert len(set(plain)) == len(plain)
    assert [question.hash for question in put(choice_task(), exam)] == plain
    assert put(choice_task(delimiter=""), exam)[0].hash != plain[0]


def test_a_prompt_that_wants_more_than_there_is_says_so(exam: Path) -> None:
    with pytest.raises(SapwoodError, match=r"item 0 of exam: the prompt cannot be filled in: 'passage' is undefined"):
        put(choice_task(cloze="{{ passage }}"), exam)
