"""Task and suite files: what ships is sound, and mistakes are named with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.recipe.document import RecipeError
from sapwood.recipe.suite import load_suite, load_task, shipped

pytestmark = pytest.mark.slow

OF_THE_PAPER = {
    *("mmlu", "ceval", "cmmlu", "math", "gsm8k", "asdiv", "mawps", "sat-math", "humaneval", "mbpp"),
    *("scieval", "sciq", "gaokao-mathqa", "gaokao-chemistry", "gaokao-biology", "arc-easy", "arc-challenge"),
    "aqua-rat",
}
CHOICE = """\
name: exam
kind: choice
language: en
files: exam.jsonl
options: options
answer: answer
cloze: "{{ question }}"
"""


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_shipped_task_is_called_like_its_file() -> None:
    names = shipped("task")
    assert set(names) >= OF_THE_PAPER
    assert [load_task(name).name for name in names] == names


@pytest.mark.parametrize("name", shipped("suite"))
def test_every_shipped_suite_can_be_read(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert set(suite.gain) | set(suite.retention) <= set(suite.tasks)


def test_the_suite_of_the_paper_has_its_benchmarks_and_its_shots() -> None:
    suite = load_suite("paper")
    assert set(suite.tasks) == OF_THE_PAPER
    assert set(suite.gain) | set(suite.retention) == OF_THE_PAPER
    shots = {name: task.shots.count for name, task in suite.tasks.items()}
    assert {name for name, count in shots.items() if count == 8} == {"gsm8k", "asdiv", "mawps"}
    assert {name for name, count in shots.items() if count == 0} == {"humaneval", "arc-easy", "arc-challenge"}
    assert shots["mbpp"] == 3
    assert all(task.reported == "letters" for task in suite.tasks.values() if task.kind == "choice")


def test_a_suite_changes_tasks_and_takes_files_of_its_own(tmp_path: Path) -> None:
    written(tmp_path / "exam.yaml", CHOICE)
    path = written(
        tmp_path / "mine.yaml",
        "name: mine\ntasks: {exam.yaml: , gsm8k: {shots: 3, metric: bits, limit: 10}}\ngain: [exam]\n",
    )
    suite = load_suite(path)
    assert list(suite.tasks) == ["exam", "gsm8k"]
    changed = suite.tasks["gsm8k"]
    assert (changed.shots.count, changed.reported, changed.limit, changed.generates) == (3, "bits", 10, False)
    assert changed.shots.files == load_task("gsm8k").shots.files
    assert load_task("gsm8k").reported == "match"


def test_shots_may_lie_beside_the_task(tmp_path: Path) -> None:
    written(tmp_path / "solved.jsonl", "")
    path = written(tmp_path / "exam.yaml", CHOICE + "shots: {files: [solved.jsonl, elsewhere.jsonl]}\n")
    assert load_task(path).shots.files == [str(tmp_path / "solved.jsonl"), "elsewhere.jsonl"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("files: exam.jsonl\n", ""), "either 'files'"),
        (("options: options\n", ""), "needs 'options'"),
        (('cloze: "{{ question }}"\n', ""), "'cloze', 'letters', or both"),
        (("answer: answer", "answer: answer |"), "exam.yaml:6: answer: found 'answer |', which Jinja cannot read"),
        (("{{ question }}", "{{ question }"), "exam.yaml:7: cloze"),
        (("kind: choice", "kind: choices"), "exam.yaml:2: kind"),
        (("answer: answer", "answer: answer\nmetric: match"), "exam.yaml:7: metric: found 'match'"),
        (("answer: answer", "answer: answer\nmetric: letters"), "'letters' needs the prompt 'letters'"),
        (("answer: answer", "answer: answer\nstop: [x]"), "has no 'stop'"),
        (("answer: answer", "answer: answer\nshots: {same_subject: true}"), "say how the 'subject' is read"),
        (("language: en", "langauge: en"), "Did you mean 'language'?"),
    ],
)
def test_mistakes_in_a_task_are_named(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    path = written(tmp_path / "exam.yaml", CHOICE.replace(*change))
    with pytest.raises(RecipeError, match=r"exam\.yaml") as error:
        load_task(path)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tasks: {gsm8k: }\ngain: [mmlu]\n", "bad.yaml:3: gain.0: there is no task 'mmlu' in this suite"),
        ("tasks: {gsm8k: }\ngain: [gsm8k]\nretention: [gsm8k]\n", "bad.yaml:4: retention.0: 'gsm8k' is under 'gain'"),
        ("tasks: {gsm8k: {metric: letters}}\n", "bad.yaml:2: tasks.gsm8k: found 'letters'"),
        ("tasks: {gsm8k: {shot: 3}}\n", "Did you mean 'shots'?"),
    ],
)
def test_mistakes_in_a_suite_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path / "bad.yaml", f"name: bad\n{text}")
    with pytest.raises(RecipeError) as error:
        load_suite(path)
    assert complaint in str(error.value)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(SapwoodError, match="Did you mean 'gsm8k'"):
        load_task("gsm8")
    with pytest.raises(SapwoodError, match="Did you mean 'paper'"):
        load_suite("papers")
    with pytest.raises(SapwoodError, match="There is no suite"):
        load_suite("nowhere.yaml")
