from __future__ import annotations

import gzip
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sandboxes import needs_sandbox
from sapwood.errors import SapwoodError
from sapwood.generation.cache import Completion
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import CodeTests, Problems, Synthesis
from sapwood.synthesis.attempts import Attempt
from sapwood.synthesis.code import RunTests, program_in
from sapwood.synthesis.item import Item
from sapwood.synthesis.problems import load_problems, problem_attempts
from sapwood.synthesis.prompt import load_prompt
from sapwood.synthesis.stage import Verdict

GOOD = {"question": "Write f.", "solution": "def f():\n    return 1", "tests": "assert f() == 1"}
HEADINGS = {
    "en": ("Problem", "Explanation", "Program", "Tests"),
    "zh": ("题目", "讲解", "程序", "测试"),
}


def attempts(
    items: int, *, seed: int = 0, language: str = "en", shots: int = 3, difficulty: str = "easy"
) -> list[Attempt]:
    server = ModelServer(url="http://localhost", model="m")
    shares = {"languages": {language: Fraction(1)}, "difficulty": {difficulty: Fraction(1)}}
    return problem_attempts(
        Synthesis(name="code", server=server, items=items, seed=seed, problems=Problems(shots=shots), **shares)
    )


def write(path: Path, *rows: object) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return str(path)


@needs_sandbox
def test_what_ships_is_right_and_its_tests_test_something() -> None:
    problems = load_problems()
    items = [
        Item(id=str(number), question=problem.question, answer=problem.solution, tests=problem.tests,
             discipline="computer science", format="code-problem", language=problem.language)
        for number, problem in enumerate(problems)
    ]  # fmt: skip
    for problem, verdict in zip(problems, RunTests(CodeTests()).check(items, lambda *_: []), strict=True):
        assert isinstance(verdict, Verdict)
        assert verdict.passed, (problem.question, verdict)
        assert verdict.score is not None
        assert verdict.score >= 0.5, (problem.question, verdict)


def test_what_ships_is_varied() -> None:
    problems = load_problems()
    assert len({problem.question for problem in problems}) == len(problems) >= 24
    assert min(Counter(problem.language for problem in problems).values()) >= 10
    assert all(problem.reasoning and problem.tests.count("assert ") >= 5 for problem in problems)


def test_a_users_problems_take_their_place(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", {**GOOD, "level": 3}, "", {**GOOD, "language": "zh", "reasoning": "It is 1."})
    write(tmp_path / "b.jsonl", GOOD)
    found = load_problems([first])
    assert [(problem.language, problem.reasoning) for problem in found] == [("en", ""), ("zh", "It is 1.")]
    assert len(load_problems([str(tmp_path / "*.jsonl")])) == 3


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "JSON"),
        ('"text"', "an object"),
        ({"question": "Write f.", "solution": "def f(): ..."}, "'tests' Field required"),
        ({**GOOD, "solution": ""}, "'solution' String should have at least 1 character"),
        ({**GOOD, "tests": ["assert f() == 1"]}, "'tests' Input should be a valid string"),
    ],
)
def test_what_is_no_problem_is_named_with_its_row(tmp_path: Path, row: object, said: str) -> None:
    path = write(tmp_path / "own.jsonl", GOOD, row)
    with pytest.raises(SapwoodError, match=r"own\.jsonl, row 2: ") as error:
        load_problems([path])
    assert said in str(error.value)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match=r"no seed problems in .*empty\.jsonl"):
        load_problems([write(tmp_path / "empty.jsonl", "")])
    with pytest.raises(SapwoodError, match=r"missing\.jsonl"):
        load_problems([str(tmp_path / "missing.jsonl")])


def test_the_examples_of_an_attempt_are_always_the_same_and_vary_from_attempt_to_attempt() -> None:
    problems = load_problems()

    def shown(items: int = 1, **options: Any) -> list[tuple[str, ...]]:
        examples = [one.values()["examples"] for one in attempts(items, **options)]
        return [tuple(example["question"] for example in some) for some in examples]

    sets = shown(200)
    assert sets[:50] == shown(50)
    assert sets != shown(200, seed=1)
    assert all(len(set(one)) == 3 for one in sets)
    assert len(set(sets)) > 180
    english = {problem.question for problem in problems if problem.language == "en"}
    counts = Counter(question for one in sets for question in one)
    assert set(counts) == english
    assert min(counts.values()) > 600 / len(english) / 2
    assert not set(shown(language="zh")[0]) & english
    assert len(shown(language="fr")[0]) == 3  # of any language, where there is none
    assert len(set(shown(shots=12, language="zh")[0])) == 12
    assert len(shown(shots=1000)[0]) == len(problems)


@needs_sandbox
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("structured", [False, True])
def test_from_the_prompt_to_a_verdict(language: str, structured: bool) -> None:
    prompt = load_prompt("code-problem", language)
    values = attempts(1, language=language, shots=2, difficulty="hard")[0].values()
    content = prompt.request(values, structured=structured).messages[0]["content"]
    for example in values["examples"]:
        assert f"```python\n{example['solution']}\n```" in content
        assert f"```python\n{example['tests']}\n```" in content
        assert example["reasoning"] in content
    assert ("hard" in content) == (language == "en")
    assert ("困难" in content) == (language == "zh")
    program = "```python\ndef double(x):\n    return x * 2\n```"
    tests = "assert double(2) == 4\nassert double(-3) == -6"
    parts = ("Write `double(x)`.", "Multiply by two.", program, tests)
    if structured:
        text = json.dumps(dict(zip(prompt.content.sections, parts, strict=True)))
    else:
        text = "\n".join(f"[{head}]\n{part}" for head, part in zip(HEADINGS[language], parts, strict=True)) + "\n<END>"
    found = prompt.parse(Completion(text, "stop", 1, 1))
    item = Item(
        id="0",
        question=found["question"],
        answer=program_in(found["answer"]),
        reasoning=found["reasoning"],
        tests=program_in(found["tests"]),
        discipline="computer science",
        format="code-problem",
        language=language,
    )
    (verdict,) = RunTests(CodeTests()).check([item], lambda *_: [])
    assert isinstance(verdict, Verdict)
    assert verdict.passed


def test_an_archive_of_problems_that_breaks_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(json.dumps(GOOD).encode())[:-4])
    with pytest.raises(SapwoodError, match=r"p\.jsonl\.gz: the archive ends too early"):
        load_problems([str(tmp_path / "p.jsonl.gz")])
