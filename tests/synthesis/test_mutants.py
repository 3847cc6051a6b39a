from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.synthesis.code import emptied, mutants
from sapwood.synthesis.problems import load_problems

pytestmark = pytest.mark.slow

SOLUTIONS = [problem.solution for problem in load_problems()]


def all_of(program: str) -> set[str]:
    return set(mutants(textwrap.dedent(program), 1000, ""))


@given(st.sampled_from(SOLUTIONS), st.integers(0, 8), st.text(max_size=5))
def test_mutants_are_other_programs_and_always_the_same(program: str, count: int, seed: str) -> None:
    found = mutants(program, count, seed)
    assert found == mutants(program, count, seed)
    assert len(found) == len(set(found)) <= count
    for variant in found:
        assert ast.dump(ast.parse(variant)) != ast.dump(ast.parse(program))
        compile(variant, "mutant", "exec")


def test_each_has_one_change() -> None:
    assert all_of("def f(a, b):\n    return a + b < 10 and a") == {
        "def f(a, b):\n    return a - b < 10 and a",
        "def f(a, b):\n    return a + b <= 10 and a",
        "def f(a, b):\n    return a + b < 11 and a",
        "def f(a, b):\n    return a + b < 10 or a",
        "def f(a, b):\n    return None",
    }
    assert all_of("for i in range(n):\n    x += 'a' if x in y else -y") == {
        "for i in range(n + 1):\n    x += 'a' if x in y else -y",
        "for i in range(n):\n    x -= 'a' if x in y else -y",
        "for i in range(n):\n    x += 'ax' if x in y else -y",
        "for i in range(n):\n    x += 'a' if x not in y else -y",
        "for i in range(n):\n    x += 'a' if not x in y else -y",
        "for i in range(n):\n    x += 'a' if x in y else +y",
    }
    assert all_of("while True:\n    pass") == {"while False:\n    pass", "while not True:\n    pass"}
    assert "x = range(1, n + 1, 2)" in all_of("x = range(1, n, 2)")
    assert all_of("x = a < b == c") == {"x = a <= b == c", "x = a < b != c"}


@pytest.mark.parametrize(
    "program",
    [
        '"""Says 1."""',
        "def f(x: 'int', y: list[1]) -> 'int':\n    'Adds 1.'",
        "x: 'int'",
        "raise ValueError('less than ' + '1')",
        "if __name__ == '__main__':\n    print(1 + 1)",
        "print(f'{x} of')",
        "x = None",
        "import a.b",
        "",
    ],
)
def test_what_changes_nothing_is_left_alone(program: str) -> None:
    assert all_of(program) == set()


def test_seeds_choose_others() -> None:
    assert len({tuple(mutants(SOLUTIONS[0], 3, str(seed))) for seed in range(20)}) > 10


def test_emptied_programs_keep_their_names_alone() -> None:
    program = """
        import math
        LIMIT = 3

        @cache
        def f(x, *y, z=LIMIT):
            return x

        class A(B):
            size: int = 1

            def g(self):
                return self.size

        class Empty:
            size = 2

        async def h():
            pass

        print(f(1))
    """
    assert emptied(textwrap.dedent(program)).split("\n\n") == [
        "import math",
        "@cache\ndef f(x, *y, z=LIMIT):\n    pass",
        "class A(B):",
        "    def g(self):\n        pass",
        "class Empty:\n    pass",
        "async def h():\n    pass",
    ]
