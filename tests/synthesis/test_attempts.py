from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.recipe.synthesis import Synthesis
from sapwood.synthesis.attempts import Seed, plan_attempts

pytestmark = pytest.mark.slow

SHARES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 50), min_size=1).filter(
    lambda shares: sum(shares.values()) > 0
)
FEW = 4
"""Counts of some hundred attempts are no more than so many away from their shares; 6 in the first million."""


def job(**fields: Any) -> Synthesis:
    return Synthesis.model_validate(
        {
            "name": "test",
            "server": {"url": "http://localhost", "model": "writer"},
            "items": 10,
            "sources": {"web": {"files": "x.jsonl"}},
            "disciplines": {"physics": {}},
            **fields,
        }
    )


def seeds(count: int, language: str = "en") -> list[Seed]:
    return [Seed("physics", f"text {number}", language) for number in range(count)]


@given(SHARES, st.integers(1, 400), st.integers(0, 5))
def test_every_prefix_has_the_shares(shares: dict[str, int], count: int, seed: int) -> None:
    attempts = plan_attempts(seeds(count), job(formats=shares, seed=seed))
    found: Counter[str] = Counter()
    for number, attempt in enumerate(attempts, 1):
        found[attempt.format] += 1
        for name, share in shares.items():
            assert abs(found[name] - Fraction(share, sum(shares.values())) * number) <= FEW
    assert not [name for name in found if not shares[name]]


def test_a_larger_job_has_the_attempts_of_a_smaller_one() -> None:
    settings = job(formats={"a": 2, "b": 1}, languages={"en": 1, "zh": 3})
    assert plan_attempts(seeds(500), settings)[:100] == plan_attempts(seeds(100), settings)


def test_what_is_chosen_is_chosen_independently() -> None:
    formats, difficulties, languages = "abcdefg", ["easy", "medium", "hard"], ["en", "zh"]
    attempts = plan_attempts(seeds(4200), job(formats=dict.fromkeys(formats, 1), languages=dict.fromkeys(languages, 1)))
    found = Counter((attempt.format, attempt.difficulty, attempt.language) for attempt in attempts)
    assert len(found) == len(formats) * len(difficulties) * len(languages)
    assert 80 <= min(found.values()) <= max(found.values()) <= 120  # 100 each
    for turns in range(2, 10):  # disciplines take turns
        pairs = Counter((number % turns, attempt.format) for number, attempt in enumerate(attempts))
        assert max(pairs.values()) / min(pairs.values()) < 1.2


def test_languages_are_those_of_the_page_unless_the_job_says_otherwise() -> None:
    assert {attempt.language for attempt in plan_attempts(seeds(9, "zh"), job())} == {"zh"}
    assert {attempt.language for attempt in plan_attempts(seeds(9, "zh"), job(languages={"en": 1}))} == {"en"}


def test_the_seed_shifts_the_order() -> None:
    first, second = (
        [attempt.format for attempt in plan_attempts(seeds(50), job(formats={"a": 1, "b": 1}, seed=seed))]
        for seed in (0, 1)
    )
    assert first != second


@pytest.mark.parametrize(("language", "name"), [("en", "physics"), ("zh", "物理")])
def test_templates_get_names_in_the_items_language(language: str, name: str) -> None:
    (attempt,) = plan_attempts(seeds(1), job(languages={language: 1}, difficulty={"hard": 1}))
    values = attempt.values()
    assert (values["discipline"], values["snippet"], values["difficulty"]) == (name, "text 0", "hard")
