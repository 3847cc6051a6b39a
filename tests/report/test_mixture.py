from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pages import EVIL, Page, view_of
from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation
from sapwood.files import read_json, read_lines, write_json, write_lines
from sapwood.mixture.ledger import Ledger
from sapwood.recipe import Recipe
from sapwood.recipe.mixture import Order
from sapwood.report.domains import topic_rows
from sapwood.report.mixture import MOST_REASONS, mixture_section, order_in_words
from sapwood.report.page import write_report
from sapwood.report.wording import signed

pytestmark = pytest.mark.slow


def test_every_topic_has_a_panel(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    families = {family.title: family for family in mixture_section(view_of(recipe, run))["families"]}
    assert {title: len(family.panels) for title, family in families.items()} == {
        "Groups": 2,
        "Sources": 5,
        "Topics of web-zh": 11,
        "Topics of web-en": 11,
    }
    rounds = Ledger(run / "ledger.jsonl", writable=False).rounds
    for title, family in families.items():
        source = title.removeprefix("Topics of ") + "/" if title.startswith("Topics") else ""
        assert len(family.boundaries) == 1
        for panel in family.panels:
            assert panel.loss is not None
            assert len(panel.loss.arms) == len(rounds) == 20
            change = rounds[-1].losses[f"{source}{panel.name}"].since_base
            assert change is not None
            assert panel.loss_text == f"{signed(change.value)} ± 0.008"
            for arm in panel.loss.arms:
                assert 0 <= arm.high <= arm.y <= arm.low <= panel.loss.height
            if panel.share is not None:
                heights = [float(number) for number in re.findall(r"[ V]([\d.]+)", panel.share.line)]
                assert all(0 <= height <= panel.share.height for height in heights)
    watched = families["Sources"].panels[-1]
    assert (watched.name, watched.share, watched.share_text) == ("news-en", None, "evaluation only")


def test_the_counterfactual_adds_up_to_nothing(divided: tuple[Recipe, Path]) -> None:
    stages = mixture_section(view_of(*divided))["moved"]
    assert [stage.name for stage in stages] == ["adaptation", "annealing"]
    for stage in stages:
        assert max(abs(line.bar) for line in stage.sources) == 100
        assert all(abs(line.bar) <= 100 for _, lines in stage.topics for line in lines)
        tokens = [int(line.tokens.replace(",", "").replace("−", "-")) for line in stage.sources]
        assert sum(tokens) == 0
        assert [source for source, _ in stage.topics] == ["web-zh", "web-en"]


def test_the_page_of_a_run_with_topics(divided: tuple[Recipe, Path]) -> None:
    page = Page(write_report(*divided))
    assert "Stage 'adaptation' was ended by its gate" in page.plain
    assert "Training is finished." in page.plain
    assert "web-zh and book-zh: by perplexity, ascending, in 10 bins with a shuffle inside each; the 1%" in page.plain
    assert "web-en: by bits per byte, descending; a random 30% of the documents so" in page.plain
    assert "The account balances to the token" in page.plain
    charts = [attributes for tag, attributes in page.elements if tag == "svg" and "aria-label" in attributes]
    assert len(charts) == 2 * (2 + 5 + 22) - 1
    assert all(attributes["role"] == "img" for attributes in charts)
    assert f"{11 - MOST_REASONS} more reasons" in page.plain
    assert page.plain.count("Shares by topic") == 20
    for topic in ("计算机与工程", "Security and International Relations"):
        assert topic in page.plain


def test_topics_that_were_measured_have_rows(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    topics = list(read_json(run / "domains" / "web-zh" / "topics.json"))
    names = [*recipe.sources, *(f"web-zh/{topic}" for topic in topics)]
    for label, level in (("base", 2.0), ("model", 1.5)):
        domains = {
            name: DomainScore(tuple(DocumentScore(f"{name}-{n}", 900 + n, 300, 900 * level - n) for n in range(4)))
            for name in names
        }
        Evaluation(label=label, model=label, tokens=0, settings={}, domains=domains).write(run / "evaluation")
    rows = topic_rows(view_of(recipe, run))
    assert {source: [row.name for row in parts] for source, parts in rows.items()} == {"web-zh": topics}
    assert all(row.aim == "gain" and row.change is not None and row.change.value > 0 for row in rows["web-zh"])
    assert "web-zh by topic" in Page(write_report(recipe, run)).plain


def test_names_of_topics_stay_text(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    evil = EVIL.replace("/", "")
    for path in (run / "plan.json", run / "domains" / "web-en" / "topics.json"):
        write_json(path, json.loads(json.dumps(read_json(path)).replace("Law and Policy", evil)))
    lines = json.loads(json.dumps(read_lines(run / "ledger.jsonl")).replace("Law and Policy", evil))
    for line in lines:
        if line["event"] == "gate":
            line["reason"] = EVIL
    write_lines(run / "ledger.jsonl", lines)
    page = Page(write_report(recipe, run))
    assert page.plain.count("alert(1)") > 20
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert len([1 for attributes, _ in page.scripts if attributes.get("type") != "application/json"]) == 2


def test_fifty_rounds_are_folded_and_small(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    lines = read_lines(run / "ledger.jsonl")
    begin, first = lines[0], next(line for line in lines if line["event"] == "round")
    length = first["sequences"]
    rounds = [
        {
            **first,
            "round": number,
            "start": number * length,
            "start_tokens": number * length * 64,
            "first": {name: amount * number * 64 for name, amount in first["counts"].items()},
            "static": {name: amount * (number + 1) for name, amount in first["counts"].items()},
        }
        for number in range(50)
    ]
    finish = {**lines[-1], "position": 50 * length}
    write_lines(run / "ledger.jsonl", [begin, *rounds, finish])
    write_lines(run / "metrics.jsonl", [])
    plan = read_json(run / "plan.json")
    write_json(run / "plan.json", {**plan, "stages": plan["stages"][:1]})
    path = write_report(recipe, run)
    page = Page(path)
    assert "Round 50" in page.plain
    assert path.stat().st_size < 6_000_000
    assert "In stage adaptation the mixture was the recipe’s own" in page.plain


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order(), "shuffled"),
        (Order(by="perplexity"), "by perplexity, ascending"),
        (Order(by="compression_ratio", ascending=False, bins=1), "by compression ratio, descending, in 1 bin with"),
        (
            Order.model_validate({"by": "perplexity", "tails": {"tail": "2.5%"}}),
            "; the 2.5% with the highest perplexity last",
        ),
        (Order.model_validate({"by": "perplexity", "first": "1/3"}), "; a random 33.33% of the documents so"),
    ],
)
def test_orders_are_said_in_words(order: Order, words: str) -> None:
    assert words in order_in_words(order)
