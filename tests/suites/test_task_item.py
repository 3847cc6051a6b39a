"""Items: read from files of all kinds, and refused where they are not what the task says."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from exams import choice_task, choices, write_rows
from sapwood.errors import SapwoodError
from sapwood.recipe.task import Task
from sapwood.suites.task_item import load_task_items


def content() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in choices()).encode()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("exam.jsonl", bytes),
        ("exam.jsonl.gz", gzip.compress),
        ("exam.jsonl.zst", zstandard.compress),
    ],
)
def test_files_may_be_compressed(tmp_path: Path, name: str, pack: Any) -> None:
    plain = tmp_path / "plain"
    write_rows(plain / "exam.jsonl", choices())
    (tmp_path / name).write_bytes(pack(content()))
    found, expected = (load_task_items(choice_task(), place) for place in (tmp_path, plain))
    assert found == expected
    assert len(found.items) == 6


def test_an_array_of_json_is_as_good_as_lines(tmp_path: Path) -> None:
    (tmp_path / "exam.json").write_text(json.dumps(choices(), indent=1))
    items = load_task_items(choice_task(files="exam.json"), tmp_path).items
    assert [item.gold for item in items] == [0, 1, 2, 3, 0, 1]
    assert items[1].subject == "b"


def test_the_file_of_a_package_is_found_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "somewhere" / "exam_package"
    write_rows(package / "data" / "exam.jsonl", choices())
    (package / "__init__.py").write_text("raise SystemExit('it was run')")
    monkeypatch.syspath_prepend(str(package.parent))
    task = choice_task(package="exam_package/data/exam.jsonl")
    assert len(load_task_items(task, tmp_path).items) == 6
    assert len(load_task_items(task, None).items) == 6
    assert "exam_package" not in sys.modules
    write_rows(tmp_path / "exam.jsonl", choices(2))
    assert len(load_task_items(task, tmp_path).items) == 2


@pytest.mark.parametrize(
    ("answer", "gold"),
    [(2, 2), ("C", 2), (" c ", None), ("C.", None), ("blue", 1), (4, None), (True, None), (None, None)],
)
def test_right_answers_are_numbers_letters_or_options(tmp_path: Path, answer: Any, gold: int | None) -> None:
    write_rows(tmp_path / "exam.jsonl", [{**choices(1)[0], "options": ["red", "blue", "green", "B"], "answer": answer}])
    if gold is None:
        with pytest.raises(SapwoodError, match=r"item 0 of exam: the answer .* is no number from 0 to 3"):
            load_task_items(choice_task(), tmp_path)
    else:
        assert load_task_items(choice_task(), tmp_path).items[0].gold == gold


def test_a_letter_is_a_letter_even_where_an_option_reads_the_same(tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", [{**choices(1)[0], "options": ["0", "A", "B", "AB"], "answer": "B"}])
    assert load_task_items(choice_task(), tmp_path).items[0].answer == "A"


def test_what_is_missing_is_said_with_what_is_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", [*choices(2), {"question": "why?", "options": ["a", "b"]}])
    with pytest.raises(
        SapwoodError, match=r"item 2 of exam: `answer`: 'answer' is undefined.*fields question, options"
    ):
        load_task_items(choice_task(subject=None), tmp_path)
    (tmp_path / "exam.jsonl").write_text('{"a": 1}\n{"b": \n')
    with pytest.raises(SapwoodError, match=r"exam.jsonl, line 2, is no JSON"):
        load_task_items(choice_task(keep="a == 2", subject=None), tmp_path)
    with pytest.raises(SapwoodError, match=r"needs other.jsonl .* not in"):
        load_task_items(choice_task(files="other.jsonl"), tmp_path)
    with pytest.raises(SapwoodError, match="no directory of items"):
        load_task_items(choice_task(), None)


def test_expressions_cannot_reach_the_machine(tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", choices(1))
    with pytest.raises(SapwoodError, match="item 0"):
        load_task_items(choice_task(answer="question.__class__.__mro__[1].__subclasses__()"), tmp_path)


def test_items_are_known_by_their_content(tmp_path: Path) -> None:
    rows = choices()
    write_rows(tmp_path / "exam.jsonl", [*rows, rows[0], rows[0]])
    first = [item.id for item in load_task_items(choice_task(), tmp_path).items]
    assert len(set(first)) == 8
    assert first[6:] == [f"{first[0]}-2", f"{first[0]}-3"]
    write_rows(tmp_path / "exam.jsonl", rows[::-1])
    assert [item.id for item in load_task_items(choice_task(), tmp_path).items] == first[5::-1]
    assert load_task_items(choice_task(id="question ~ row"), tmp_path).items[0].id.endswith("0")


def test_a_limit_chooses_the_same_items_wherever_they_stand(tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", choices(40))
    some = load_task_items(choice_task(limit=7), tmp_path).items
    write_rows(tmp_path / "exam.jsonl", choices(40)[::-1])
    again = load_task_items(choice_task(limit=7), tmp_path).items
    assert {item.id for item in some} == {item.id for item in again}
    assert [item.fields["row"] for item in some] == sorted(item.fields["row"] for item in some)
    assert len(some) == 7


def test_the_fingerprint_knows_the_items_and_not_where_they_lie(tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", choices())
    write_rows(tmp_path / "elsewhere" / "other.jsonl", choices())
    before = load_task_items(choice_task(), tmp_path).fingerprint
    assert load_task_items(choice_task(files="elsewhere/other.jsonl"), tmp_path).fingerprint == before
    write_rows(tmp_path / "exam.jsonl", [*choices(5), {**choices(6)[5], "remark": "new"}])
    assert load_task_items(choice_task(), tmp_path).fingerprint != before


def test_options_are_found_in_text_and_rid_of_letters(tmp_path: Path) -> None:
    rows = [
        {"q": "Which?\n\nA. water\nB. ice. Or\n\nAnswer:", "o": ["(A)9", "(B) ten"], "a": "B"},
        {"q": "Where? A. Here\n\nA. x\nB. y\nC. z", "o": ["A. x", "B、y", "C：z"], "a": "A"},
    ]
    write_rows(tmp_path / "exam.jsonl", rows)
    fields: dict[str, Any] = {"answer": "a", "question": "q", "subject": None}
    items = load_task_items(choice_task(options="q | split_options", **fields), tmp_path).items
    assert [item.options for item in items] == [("water", "ice. Or"), ("x", "y", "z")]
    items = load_task_items(choice_task(options="o | without_letter", **fields), tmp_path).items
    assert [item.options for item in items] == [("9", "ten"), ("x", "y", "z")]


def test_a_generator_needs_no_files() -> None:
    task = Task(
        name="probe",
        kind="choice",
        language="en",
        generator={"name": "word-labels", "items": 5},  # type: ignore[arg-type]
        options="options",
        answer="options.index(answer)",
        cloze="{{ question }}",
    )
    assert len(load_task_items(task, None).items) == 5
