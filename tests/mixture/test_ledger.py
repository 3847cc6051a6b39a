from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.files import read_lines, write_lines
from sapwood.mixture.ledger import Ledger, Round, SkippedStep
from sapwood.mixture.measured import Measured, improvement
from sapwood.mixture.weights import Mixture
from sapwood.recipe.mixture import Order

HALF = Fraction(1, 2)
HOMES = {"a": "one", "b": "one", "c": "two"}
MIXTURES = [
    Mixture({"a": Fraction(1, 3), "b/x": Fraction(1, 3), "b/y": Fraction(1, 3)}, HOMES),
    Mixture({"a": HALF, "c": HALF}, HOMES),
]


def entry(index: int, start: int, sequences: int, first: dict[str, int], **fields: object) -> Round:
    return Round(
        **{
            "index": index,
            "stage": f"stage {index}",
            "start": start,
            "start_tokens": start * 10,
            "sequences": sequences,
            "sequence_length": 10,
            "mixture": MIXTURES[index % 2],
            "first": first,
            "reasons": ("because",),
            "losses": {
                "a": Measured(
                    bits_per_byte=1.5,
                    standard_error=float("inf"),
                    nats_per_token=3.0,
                    since_base=improvement(0.1, 0.02),
                )
            },
            **fields,
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_rounds_are_read_back_as_they_were_written(path: Path) -> None:
    ledger = Ledger(path)
    deficit = {"a": Fraction(1, 3), "b/x": Fraction(-1, 3)}
    ledger.append(
        entry(0, 0, 9, {}, deficit=deficit, orders={"a": Order(by="perplexity", bins=3)}, states={"f": {"x": 1}})
    )
    ledger.append(entry(1, 9, 4, ledger.consumed_until(9)))
    again = Ledger(path)
    assert [r.to_json() for r in again.rounds] == [r.to_json() for r in ledger.rounds]
    assert again.rounds[0].mixture.weights == MIXTURES[0].weights
    assert again.rounds[0].losses == ledger.rounds[0].losses
    assert again.rounds[0].orders == {"a": Order(by="perplexity", bins=3)}
    assert again.finished_at == 0
    ledger.finish(13)
    ledger.finish(13)
    assert Ledger(path).finished_at == 13
    assert len(read_lines(path)) == 3


def test_lines_that_were_read_already_are_a_ledger(path: Path) -> None:
    ledger = Ledger(path)
    ledger.begin({"model": "x"})
    ledger.append(entry(0, 0, 9, {}))
    ledger.end_stage("stage 0", 9, "Gain is flat.")
    ledger.note(SkippedStep("skip", 3, 4, 6, "loss inf"))
    ledger.finish(9)
    lines = read_lines(path)
    read = Ledger.from_lines([*lines, {"event": "something new"}], path)
    assert [r.to_json() for r in read.rounds] == [r.to_json() for r in ledger.rounds]
    assert (read.identity, read.ended, read.finished_at) == (ledger.identity, ledger.ended, 9)
    assert [(event.kind, event.position, event.stage, event.number, event.reason) for event in read.events] == [
        ("begin", 0, "", 0, ""),
        ("round", 0, "stage 0", 0, "because"),
        ("gate", 9, "stage 0", 0, "Gain is flat."),
        ("skip", 4, "", 3, "loss inf"),
        ("finish", 9, "", 0, ""),
        ("something new", 0, "", 0, ""),
    ]
    read.finish(12)
    assert read_lines(path) == lines, "it writes nothing"
    with pytest.raises(SapwoodError, match="begun by an earlier version"):
        Ledger.from_lines([{"event": "round", "round": 0}], path)


def test_a_line_says_what_a_person_wants_to_know(path: Path) -> None:
    Ledger(path).append(entry(0, 0, 9, {}))
    (line,) = read_lines(path)
    assert line["weights"] == {"one": {"a": "1/3", "b": {"x": "1/3", "y": "1/3"}}}
    assert line["counts"] == {"a": 3, "b/x": 3, "b/y": 3}
    assert line["losses"]["a"]["standard_error"] is None


def test_a_domain_goes_on_where_it_stopped(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(entry(0, 0, 9, {}))
    ledger.append(entry(1, 9, 4, ledger.consumed_until(9)))
    assert ledger.consumed_until(0) == {}
    assert ledger.consumed_until(9) == {"a": 30, "b/x": 30, "b/y": 30, "c": 0}
    assert ledger.consumed_until(13) == {"a": 50, "b/x": 30, "b/y": 30, "c": 20}
    assert ledger.tokens_until(11) == 110
    seen: dict[str, int] = {}
    for position in range(13):
        round_ = ledger.at(position)
        assert round_ is not None
        domain, rank = round_.locate(position)
        assert round_.first.get(domain, 0) + rank * 10 == seen.get(domain, 0)
        assert round_.positions(domain, [rank]) == [position]
        seen[domain] = seen.get(domain, 0) + 10
    assert ledger.at(13) is None


def test_what_is_owed_is_carried_on(path: Path) -> None:
    first = entry(0, 0, 4, {})
    deficit = first.deficit_after()
    assert sum(deficit.values()) == 0
    assert {abs(amount) for amount in deficit.values()} <= {Fraction(1, 3), Fraction(2, 3)}
    again = entry(2, 4, 5, first.consumed_until(4), deficit=deficit)
    assert again.deficit_after() == {}, "nine sequences in thirds are exact"


def test_orders_come_into_force_where_a_stage_begins(path: Path) -> None:
    by = Order(by="perplexity")
    ledger = Ledger(path)
    ledger.append(entry(0, 0, 9, {}, orders={"a": by, "c": by}))
    ledger.append(entry(1, 9, 4, ledger.consumed_until(9)))
    ledger.append(entry(2, 13, 3, ledger.consumed_until(13), orders={"a": by}))
    assert ledger.orders_of("a") == [(0, by), (30, Order()), (50, by)]
    assert ledger.orders_of("b/x") == [(0, Order())]
    assert ledger.orders_of("c") == [(0, Order())], "no token of it was taken by perplexity"
    assert ledger.orders_of("never") == [(0, Order())]


def test_a_line_cut_short_by_a_crash_is_as_if_never_written(path: Path) -> None:
    Ledger(path).append(entry(0, 0, 9, {}))
    with path.open("ab") as file:
        file.write(b'{"event":"round","round":1,"sta')
    ledger = Ledger(path)
    assert len(ledger.rounds) == 1
    ledger.append(entry(1, 9, 4, ledger.consumed_until(9)))
    assert len(Ledger(path).rounds) == 2


def test_rounds_that_do_not_follow_are_refused(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(entry(0, 0, 9, {}))
    with pytest.raises(SapwoodError, match="changed by hand"):
        ledger.append(entry(1, 10, 4, {}))
    assert len(Ledger(path).rounds) == 1, "it was not written"
    write_lines(path, [{**line, "start": 1} for line in read_lines(path)])
    with pytest.raises(SapwoodError, match="changed by hand"):
        Ledger(path)


def test_a_ledger_of_an_earlier_version_is_refused(path: Path) -> None:
    Ledger(path).append(entry(0, 0, 9, {}))
    write_lines(path, [{name: value for name, value in line.items() if name != "deficit"} for line in read_lines(path)])
    with pytest.raises(
        SapwoodError, match=r"the line of round 0 lacks 'deficit': the run was begun by an earlier version"
    ):
        Ledger(path)


def test_what_a_run_was_begun_with_stays(path: Path) -> None:
    Ledger(path).begin({"model": "1", "source 'a'": "2"})
    Ledger(path).begin({"model": "1", "source 'a'": "2"})
    assert len(read_lines(path)) == 1
    with pytest.raises(SapwoodError, match="begun with another source 'a'"):
        Ledger(path).begin({"model": "1", "source 'a'": "3"})
    Ledger(path).begin({"model": "1", "source 'a'": "2", "source 'b'": "4"})
    with pytest.raises(SapwoodError, match="begun with another source 'b'"):
        Ledger(path).begin({"model": "1", "source 'a'": "2", "source 'b'": "5"})


def test_other_ranks_write_nothing(path: Path) -> None:
    ledger = Ledger(path, writable=False)
    ledger.append(entry(0, 0, 9, {}))
    assert ledger.at(3) is not None
    assert not path.exists()


def test_a_stage_that_a_gate_ended_is_remembered(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(entry(0, 0, 9, {}))
    ledger.end_stage("stage 0", 9, "enough")
    assert Ledger(path).ended == {"stage 0": "enough"}
