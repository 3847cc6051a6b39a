from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.mixture.ledger import Ledger, Round

HALF = Fraction(1, 2)


def entry(index: int, start: int, sequences: int, first: dict[str, int]) -> Round:
    return Round(
        index=index,
        stage=f"stage {index}",
        start=start,
        sequences=sequences,
        weights={"a": Fraction(1, 3), "b": Fraction(2, 3)} if index == 0 else {"a": HALF, "c": HALF},
        first=first,
        reasons=("because",),
        losses={"a": {"bits_per_byte": 1.5, "standard_error": 0.1}},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_rounds_are_read_back_as_they_were_written(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(entry(0, 0, 9, {}))
    ledger.append(entry(1, 9, 4, ledger.counts_until(9)))
    again = Ledger(path)
    assert [r.to_json() for r in again.rounds] == [r.to_json() for r in ledger.rounds]
    assert again.rounds[0].weights["a"] == Fraction(1, 3)
    assert again.finished_at == 0
    ledger.finish(13)
    ledger.finish(13)
    assert Ledger(path).finished_at == 13
    assert len(read_lines(path)) == 3


def test_a_domain_goes_on_where_it_stopped(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(entry(0, 0, 9, {}))
    ledger.append(entry(1, 9, 4, ledger.counts_until(9)))
    assert ledger.counts_until(0) == {}
    assert ledger.counts_until(9) == {"a": 3, "b": 6, "c": 0}
    assert ledger.counts_until(13) == {"a": 5, "b": 6, "c": 2}
    seen: dict[str, int] = {}
    for position in range(13):
        round_ = ledger.at(position)
        assert round_ is not None
        domain, number = round_.locate(position)
        assert number == seen.get(domain, 0)
        seen[domain] = number + 1
    assert ledger.at(13) is None


def test_a_line_cut_short_by_a_crash_is_as_if_never_written(path: Path) -> None:
    Ledger(path).append(entry(0, 0, 9, {}))
    with path.open("ab") as file:
        file.write(b'{"event":"round","round":1,"sta')
    ledger = Ledger(path)
    assert len(ledger.rounds) == 1
    ledger.append(entry(1, 9, 4, ledger.counts_until(9)))
    assert len(Ledger(path).rounds) == 2


def test_rounds_that_do_not_follow_are_refused(path: Path) -> None:
    Ledger(path).append(entry(0, 0, 9, {}))
    Ledger(path).append(entry(1, 10, 4, {}))
    with pytest.raises(SapwoodError, match="changed by hand"):
        Ledger(path)


def test_what_a_run_was_begun_with_stays(path: Path) -> None:
    Ledger(path).begin({"model": "1", "source 'a'": "2"})
    Ledger(path).begin({"model": "1", "source 'a'": "2"})
    assert len(read_lines(path)) == 1
    with pytest.raises(SapwoodError, match="begun with another source 'a'"):
        Ledger(path).begin({"model": "1", "source 'a'": "3"})


def test_other_ranks_write_nothing(path: Path) -> None:
    ledger = Ledger(path, writable=False)
    ledger.append(entry(0, 0, 9, {}))
    assert ledger.at(3) is not None
    assert not path.exists()
