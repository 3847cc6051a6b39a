from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.files import read_json, read_lines, write_atomic, write_json, write_lines
from sapwood.mixture.account import Account, Stock, make_account
from sapwood.mixture.domains import Sizes
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.measured import Measured, improvement
from sapwood.mixture.plan import make_plan, read_plan
from sapwood.mixture.rounds import next_round
from sapwood.recipe import Recipe, load_recipe
from sapwood.report.run_view import RunView
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest
from sapwood.runs.metrics import StepMetrics, read_metrics

TOPICS = {"law": 700, "art": 1300, "other": 2000}
SIZES = {"web": 4000, "book": 900, "code": 5000, "news": 0}
RECIPE: dict[str, Any] = {
    "name": "account",
    "model": "org/model",
    "sequence_length": 16,
    "sources": {
        "web": {"tokens": "4K", "topics": "syne-en"},
        "book": {"tokens": "1K", "max_epochs": 2},
        "code": {"tokens": "5K"},
        "news": {"tokens": "1K"},
    },
    "groups": {"new": {"web": 3, "book": 1}, "old": {"code": 1}},
    "stages": [
        {
            "name": "first",
            "tokens": 6400,
            "mixture": {"new": 3, "old": 1},
            "controller": {"kind": "perplexity-change", "over": "topics", "every": 1600, "noise": 0},
            "gate": {"retention": 0.5},
        },
        {"name": "second", "tokens": 3200, "mixture": {"new": 1, "old": 1}, "sequence_length": 32},
    ],
    "training": {"batch_tokens": 320, "learning_rate": 0.001},
    "evaluation": {"gain": {"domains": ["new"]}, "retention": {"domains": ["old", "news"]}},
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Recipe, RunDirectory]]:
    """Writes a whole run; `loss` is what is lost after two rounds."""

    def make(loss: float = 0.0) -> tuple[Recipe, RunDirectory]:
        directory = tmp_path_factory.mktemp("account")
        write_atomic(directory / "recipe.yaml", json.dumps(RECIPE))
        recipe, run = load_recipe(directory / "recipe.yaml"), RunDirectory(directory)
        plan = make_plan(recipe, Sizes(SIZES, {"web": TOPICS}))
        assert not plan.refusals
        write_json(run.plan, plan.to_json())
        write_json(run.divided("web") / "topics.json", TOPICS)
        Manifest(step="topics", inputs={}, settings={}).write(run.divided("web"))
        for number, (source, tokens) in enumerate(SIZES.items()):
            counts = {"train_tokens": tokens, "holdout_tokens": 100 + number, "dropped_tokens": 7 * number}
            counts["tokens"] = sum(counts.values())
            reasons = {"no tokens": number} if number else {}
            Manifest(step="tokens", inputs={}, settings={}, counts=counts, reasons=reasons).write(run.tokens(source))
        ledger = Ledger(run.ledger)
        ledger.begin({})
        while entry := next_round(recipe, plan, ledger, losses(len(ledger.rounds), loss)):
            ledger.append(entry)
        ledger.finish(ledger.decided)
        last = step(ledger, ledger.decided)
        last.write(run.metrics)
        return recipe, run

    return make


def losses(number: int, loss: float) -> dict[str, Measured]:
    """The topics of `web` get better at different rates."""
    found = {}
    for place, topic in enumerate(TOPICS):
        change = improvement(0.01 * (place + 1) ** 2, 0.001) if number else None
        found[f"web/{topic}"] = Measured(
            bits_per_byte=1.0 - 0.01 * number, standard_error=0.1, nats_per_token=2.0, since_last=change
        )
    lost = improvement(-loss if number > 1 else 0.0, 0.001)
    for name in ("new", "old", "news", "web", "book", "code"):
        found[name] = Measured(bits_per_byte=1.0, standard_error=0.1, nats_per_token=2.0, since_base=lost)
    return found


def step(ledger: Ledger, position: int) -> StepMetrics:
    return StepMetrics(
        step=1,
        position=position,
        tokens=ledger.tokens_until(position),
        stage="s",
        loss=1.0,
        losses={},
        learning_rate=1e-3,
        gradient_norm=1.0,
        skipped=False,
        tokens_per_second=1.0,
        utilisation=None,
        data_wait=0.0,
        seconds=1.0,
        memory_bytes=1,
        digest="0" * 16,
    )


@pytest.fixture(scope="module")
def whole(make: Callable[..., tuple[Recipe, RunDirectory]]) -> tuple[Recipe, RunDirectory]:
    return make()


def account_at(recipe: Recipe, run: RunDirectory, position: int) -> tuple[Account, Ledger]:
    """The account of the run when it had got as far as `position`."""
    ledger = Ledger(run.ledger, writable=False)
    ledger.finished_at = 0
    account = make_account(
        recipe,
        plan=read_plan(run.plan),
        ledger=ledger,
        last=step(ledger, position) if position else None,
        tokens={
            source: Manifest(step="tokens", inputs={}, settings={}, counts={"train_tokens": tokens, "tokens": tokens})
            for source, tokens in SIZES.items()
        },
        topics={"web": TOPICS},
    )
    return account, ledger


def test_a_whole_run_balances(whole: tuple[Recipe, RunDirectory]) -> None:
    account = RunView(*whole).account
    assert not account.off
    assert account.verdict == f"The account balances to the token: {len(account.balances)} of 16 sums agree."
    assert account.trained == 9600
    assert [(stage.name, stage.sequence_length, stage.begun) for stage in account.stages] == [
        ("first", 16, True),
        ("second", 32, True),
    ]
    web, book, code, news = account.sources
    assert [topic.name for topic in web.topics] == list(TOPICS)
    assert (web.read, web.held_out, web.dropped, web.stock.prepared) == (4100, 100, 0, 4000)
    assert (book.reasons, news.evaluation_only, code.evaluation_only) == ({"no tokens": 1}, True, False)
    assert book.stock.epochs is not None
    assert 1 < book.stock.epochs <= 2
    assert any(line.moved for line in account.stages[0].lines), "the controller moved the topics"


@given(share=st.floats(0, 1))
def test_it_balances_at_every_position(whole: tuple[Recipe, RunDirectory], share: float) -> None:
    position = round(share * 500)
    account, ledger = account_at(*whole, position)
    assert not account.off
    expected: Counter[str] = Counter()
    for place in range(position):
        entry = ledger.at(place)
        assert entry is not None
        expected[entry.locate(place)[0]] += entry.sequence_length
    found = {
        part.name if part is source.stock else f"{source.name}/{part.name}": part
        for source in account.sources
        for part in (source.topics or (source.stock,))
    }
    assert {name: part.trained for name, part in found.items() if part.trained} == dict(expected)
    for part in found.values():
        assert part.prepared is not None
        assert part.once is not None
        assert part.waiting is not None
        assert part.repeated is not None
        assert part.prepared == part.once + part.waiting
        assert part.trained == part.once + part.repeated
        assert min(part.once, part.waiting, part.repeated) >= 0
        assert not part.waiting or not part.repeated, "no second epoch begins before the first is through"
    for stage in account.stages:
        assert stage.total.trained == sum(line.trained for line in stage.sources)
        if stage.begun:
            assert stage.total.moved == 0


def test_inside_a_round_the_static_mixture_stays_near_its_shares(whole: tuple[Recipe, RunDirectory]) -> None:
    for position in range(1, 400, 7):
        account, ledger = account_at(*whole, position)
        stage = account.stages[0]
        shares = ledger.rounds[0].mixture.weights
        for line in stage.lines:
            assert line.static is not None
            assert abs(line.static - shares[line.name] * position) <= 1


def change_lines(path: Path, event: str, change: Callable[[dict[str, Any]], None]) -> None:
    lines = read_lines(path)
    change(next(line for line in lines if line["event"] == event))
    write_lines(path, lines)


def add(record: dict[str, Any], name: str, amount: int) -> None:
    record[name] += amount


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("manifest", "web: read 4,103 ≠ to train on + held out + dropped 4,100 (off by +3)"),
        ("topics", "web: to train on 4,000 ≠ its topics together 4,005 (off by -5)"),
        ("plan", "stage first: planned, by domain 6,416 ≠ by the budget 6,400 (off by +16)"),
        ("counts", "stage first: trained, by domain 6,432 ≠ by position 6,400 (off by +32)"),
        ("static", "stage second: by the static mixture 3,232 ≠ trained 3,200 (off by +32)"),
        ("metrics", "run: trained, by the log of steps 9,599 ≠ by position 9,600 (off by -1)"),
    ],
)
def test_what_does_not_agree_is_named_with_its_amount(
    make: Callable[..., tuple[Recipe, RunDirectory]], damage: str, said: str
) -> None:
    recipe, run = make()
    plan, manifest = read_json(run.plan), read_json(run.tokens("web") / "manifest.json")
    match damage:
        case "manifest":
            add(manifest["counts"], "tokens", 3)
            write_json(run.tokens("web") / "manifest.json", manifest)
        case "topics":
            write_json(run.divided("web") / "topics.json", {**TOPICS, "law": TOPICS["law"] + 5})
        case "plan":
            add(plan["stages"][0]["counts"], "code", 1)
            write_json(run.plan, plan)
        case "counts":
            change_lines(run.ledger, "round", lambda line: add(line["counts"], "code", 2))
        case "static":
            lines = read_lines(run.ledger)
            add(next(line for line in lines if line.get("stage") == "second")["static"], "code", 1)
            write_lines(run.ledger, lines)
        case "metrics":
            (last,) = read_metrics(run.metrics)
            run.metrics.unlink()
            replace(last, tokens=last.tokens - 1).write(run.metrics)
    account = RunView(recipe, run).account
    assert said in [str(balance) for balance in account.off]
    assert account.verdict.startswith("The account does not balance: ")


def test_a_gate_ends_a_stage_and_the_account_still_balances(
    make: Callable[..., tuple[Recipe, RunDirectory]],
) -> None:
    account = RunView(*make(loss=0.7)).account
    first, second = account.stages
    assert first.ended.startswith("Retention is broken")
    assert first.total.trained == 200
    assert first.total.difference == -200
    assert (second.ended, second.total.difference) == ("", 0)
    assert account.trained == 200 * 16 + 3200
    assert not account.off


def test_before_anything_is_there(tmp_path: Path) -> None:
    write_atomic(tmp_path / "recipe.yaml", json.dumps(RECIPE))
    recipe = load_recipe(tmp_path / "recipe.yaml")
    account = RunView(recipe, RunDirectory(tmp_path)).account
    assert account.verdict == "There is nothing to balance yet."
    assert account.stages == ()
    assert account.sources[0].stock == Stock("web", None, 0, None)
    assert account.sources[0].stock.waiting is None
    assert account.sources[0].stock.repeated is None
