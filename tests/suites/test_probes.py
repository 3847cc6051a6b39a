"""Probes of in-context learning: what is asked follows from what is shown, and from nothing else."""

from __future__ import annotations

from collections import Counter

import pytest

from sapwood.recipe.task import Generator
from sapwood.suites.probes import LABELS, make_rows


@pytest.mark.parametrize("name", ["word-labels", "digit-code"])
def test_items_are_seeded_and_do_not_depend_on_their_number(name: str) -> None:
    few, many = (list(make_rows(Generator(name=name, items=count))) for count in (5, 20))  # type: ignore[arg-type]
    assert many[:5] == few
    assert len({row["question"] for row in many}) == 20
    assert list(make_rows(Generator(name=name, items=5, seed=1))) != few  # type: ignore[arg-type]


def test_labels_can_be_looked_up_and_not_be_guessed() -> None:
    answers: Counter[str] = Counter()
    for row in make_rows(Generator(name="word-labels", items=400, examples=16)):
        *shown, asked = row["question"].split("\n")
        pairs = [line.split(" -> ") for line in shown]
        known = dict(pairs)
        assert len(pairs) == 16
        assert {(word, label) for word, label in pairs} == set(known.items())
        assert set(Counter(known.values()).values()) == {2}  # no label is more common
        assert known[asked.removesuffix(" ->")] == row["answer"]
        answers[row["answer"]] += 1
    assert set(answers) == set(LABELS)
    assert max(answers.values()) < 140


def test_a_code_is_one_to_one_and_can_be_worked_out() -> None:
    for row in make_rows(Generator(name="digit-code", items=100, examples=16)):
        *shown, asked = row["question"].split("\n")
        code: dict[str, str] = {}
        groups = []
        for line in shown:
            plain, coded = (side.split() for side in line.split(" -> "))
            groups.append(plain)
            assert len(plain) == len(coded) == 3
            for digit, other in zip(plain, coded, strict=True):
                assert code.setdefault(digit, other) == other
        assert len(set(code.values())) == len(code)
        group = asked.removesuffix(" ->").split()
        assert group not in groups
        assert " ".join(code[digit] for digit in group) == row["answer"]
