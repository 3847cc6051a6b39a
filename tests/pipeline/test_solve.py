"""Solving a table of small runs with plain values, and what is said of tables that are wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sapwood.errors import SapwoodError
from sapwood.mixture import solve as module
from sapwood.pipeline.solve import solve

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "solve" / "swarm.csv"
TOKENS = {"web-zh": 60_000_000, "book-zh": 3_000_000, "web-en": 200_000_000, "code-en": 8_000_000}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cvxpy")
    monkeypatch.setitem(module.solve.__kwdefaults__, "resamples", 10)


def test_numbers_and_what_people_write_are_the_same() -> None:
    written = {name: f"{size // 10**6}M" for name, size in TOKENS.items()}
    ours, theirs = (solve(EXAMPLE, tokens=tokens, budget=10**8, weight={"zh": 2}) for tokens in (TOKENS, written))
    assert ours.to_json() == theirs.to_json()
    assert list(ours.shares) == list(TOKENS)
    assert sum(ours.shares.values()) == pytest.approx(1)
    assert ours.shares["book-zh"] == pytest.approx(0.12)  # four passes over 3M tokens in a budget of 100M
    assert (ours.prior, ours.budget, ours.sizes) == ("in proportion to the tokens", 10**8, TOKENS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight": {"zhh": 2}}, "weight={'zhh': 2}: the table has no 'zhh'. Did you mean 'zh'?"),
        ({"tokens": {"web-zh": 1.5}}, "tokens={'web-zh': 1.5}: expected a number of tokens"),
        ({"budget": "0", "tokens": TOKENS}, "budget='0': write a number of tokens above 0"),
        ({"prior": dict.fromkeys(TOKENS, 0)}, "prior gives every domain 0"),
    ],
)
def test_values_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SapwoodError, match=re.escape(message)):
        solve(EXAMPLE, **given)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.txt", "", "t.txt: write a table as .csv or .jsonl"),
        ("t.csv", "", "t.csv: there are no rows"),
        ("t.csv", "share.a,share.a\n1,2\n", "t.csv:1: the column 'share.a' is there twice"),
        ("t.csv", 'share.a,loss.b\n1,"2\n3,4\n', "t.csv:3: not a row of CSV: unexpected end of data"),
        ("t.csv", "share.a,loss.b\n1\n", "t.csv:2: found 1 fields, and the header has 2"),
        ("t.csv", "share.a,share.b,loss.m\n0.5,0.6,1\n", "t.csv:2: the shares sum to 1.1"),
        ("t.jsonl", "{]\n", "t.jsonl:1: not a line of JSON"),
        ("t.jsonl", "\n[1]\n", "t.jsonl:2: found [1]; write an object"),
        ("t.csv", "\xff", "cannot be read as UTF-8"),
    ],
)
def test_tables_are_refused_with_their_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(SapwoodError, match=re.escape(message)):
        solve(tmp_path / name)
    with pytest.raises(SapwoodError, match="there is no such file"):
        solve(tmp_path / "other.csv")
