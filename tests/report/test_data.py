from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from sapwood.files import read_json
from sapwood.pipeline.prepare import prepare_run
from sapwood.recipe import Recipe, load_recipe
from sapwood.report.data import sections, write_data_report
from sapwood.report.data.facts import Smallest, read_data_facts
from sapwood.runs.directory import RunDirectory

pytestmark = pytest.mark.slow

EVIL = "<img src=x onerror=alert(1)></script>"


@pytest.fixture
def prepared(tiny_recipe: Callable[..., Path], tmp_path: Path) -> tuple[Recipe, RunDirectory]:
    """The tiny recipe with everything on, and documents that every step has something to say about."""
    path = tiny_recipe()
    recipe = json.loads(path.read_text())
    question = " ".join(f"word{number}" for number in range(40))
    web = tmp_path / "web-en.jsonl"
    lines = web.read_text().splitlines()
    first = json.loads(lines[0])["text"]
    added = [first, first + " again", f"{EVIL} Here is {question}", "树木每年长出一圈新的边材" * 9, EVIL * 3]
    web.write_text("\n".join([*lines, *(json.dumps({"text": text}) for text in added), "broken"]))
    (tmp_path / "items.jsonl").write_text(json.dumps({"question": question}))
    taxonomy = {"name": "own", "language": "en", "rest": "b", "topics": [{"name": n, "description": n} for n in "ab"]}
    (tmp_path / "own.yaml").write_text(json.dumps(taxonomy))
    labels = [{"text": json.loads(line)["text"], "topic": "ab"[n % 2]} for n, line in enumerate(lines[:40])]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    recipe["sources"]["web-en"] |= {"language": "en", "topics": "own.yaml", "licence": "CC0-1.0 <b>"}
    recipe["corpus"] = {
        "language": {"confidence": 0.9},
        "decontamination": {"benchmarks": "items.jsonl"},
        "topics": {"labels": {"own.yaml": "labels.jsonl"}},
        "perplexity": {"sources": ["web-zh"], "tokens": 20, "trim": {"tail": "10%"}},
    }
    path.write_text(json.dumps(recipe))
    loaded, run = load_recipe(path), RunDirectory(tmp_path / "runs" / "tiny")
    prepare_run(loaded, run)
    return loaded, run


def test_the_page_has_the_numbers_of_the_columns(prepared: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = prepared
    facts = read_data_facts(recipe, run.root)
    web = next(source for source in facts.sources if source.name == "web-en")
    assert (web.read, web.unreadable) == (86, 1)
    assert sum(tally.documents for tally in web.fates.values()) == 85
    assert web.fates["language"].documents == 1
    assert web.fates["duplicates"].documents >= 2
    assert web.fates["contamination"].documents == 1
    assert web.hits == {"items": 1}
    assert (
        sum(web.topics[topic].documents for topic in "ab")
        == web.fates["train"].documents + web.fates["holdout"].documents
    )
    zh = next(source for source in facts.sources if source.name == "web-zh")
    assert len(zh.nll) == 60
    assert zh.fates["trim"].documents == 6
    for source in facts.sources:
        tokens = read_json(run.tokens(source.name) / "manifest.json")["counts"]
        kept = source.fates["train"].documents + source.fates["holdout"].documents
        assert kept == tokens["documents"]
        # The end-of-text token of each document is no token of its text.
        assert source.fates["train"].tokens + source.fates["holdout"].tokens == tokens["tokens"] - tokens["documents"]


def test_the_page_says_it_and_says_nothing_else(prepared: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = prepared
    page = write_data_report(recipe, run.root).read_text(encoding="utf-8")
    body = page[page.index("<body") : page.index("Plotly") if "Plotly" in page else None]
    shown = unescape(re.sub(r"<script.*?</script>|<[^>]+>", " ", body, flags=re.DOTALL))
    for text in (
        "holds an item of items",
        "language is zh, expected en",
        "perplexity among the highest",
        "exact duplicate",
        "near-duplicate",
        "alert(1)",
        "held-out labels rightly",
        "broken JSON",
        "CC0-1.0 <b>",
        "not stated",
    ):
        assert text in shown, text
    assert "<img" not in body
    assert page.count("<script>") == 2
    assert "default-src &#39;none&#39;" in page


def test_every_reason_has_its_count_and_examples(prepared: tuple[Recipe, RunDirectory]) -> None:
    facts = read_data_facts(prepared[0], prepared[1].root)
    groups = {group["step"]: group["reasons"] for group in sections.dropped_section(facts)["groups"]}
    assert list(groups) == ["unreadable", "language", "duplicates", "contamination", "trim"]
    (unreadable,) = groups["unreadable"]
    assert (unreadable["reason"], unreadable["documents"], unreadable["tokens"]) == ("broken JSON", 1, 0)
    assert unreadable["samples"] == [{"source": "web-en", "origin": "web-en.jsonl#85", "excerpt": "broken"}]
    for source in facts.sources:
        for step in source.steps:
            counts = [count for entry in groups[step] for name, count, _ in entry["sources"] if name == source.name]
            assert sum(counts) == source.fates[step].documents
    assert all(entry["samples"] for reasons in groups.values() for entry in reasons)


def test_examples_are_of_all_sources_in_turn() -> None:
    of_each = [[{"source": name, "excerpt": str(n)} for n in range(4)] for name in ("a", "b", "c")]
    entry = sections._entry("why", 12, 100, [], of_each)
    assert [example["source"] + example["excerpt"] for example in entry["samples"]] == [
        "a0",
        "b0",
        "c0",
        "a1",
        "b1",
        "c1",
    ]


def test_what_each_step_looked_at_is_what_the_one_before_left(prepared: tuple[Recipe, RunDirectory]) -> None:
    facts = read_data_facts(prepared[0], prepared[1].root)
    lines = {row.pop("Step"): row for row in sections.steps_section(facts)["table"].record()["rows"]}
    left = lines["documents"]["Looked at"]
    for step in ("documents", "language", "duplicates", "contamination"):
        assert lines[step]["Looked at"] == left
        left -= lines[step]["Filtered"]
    assert lines["selection"]["Looked at"] == left - lines["trim"]["Filtered"]
    assert (lines["selection"]["Filtered"], lines["selection"]["Tokens filtered"]) == (0, 0)
    assert lines["selection"]["Text"] < lines["contamination"]["Text"]


def test_steps_that_were_switched_off_do_not_show(prepared: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = prepared
    corpus = recipe.corpus.model_copy(update={"decontamination": None, "duplicates": None, "perplexity": None})
    plain = recipe.model_copy(update={"corpus": corpus})
    prepare_run(plain, run)
    page = write_data_report(plain, run.root).read_text(encoding="utf-8")
    assert "holds an item of" not in page
    assert "No document is scored" in page
    assert read_data_facts(plain, run.root).steps() == ["language"]


def test_samples_are_those_with_the_smallest_hashes() -> None:
    many = Smallest(3)
    for number in range(100):
        many.offer(f"{(number * 37) % 100:015x}" + "0" * 17, (number * 37) % 100)
    assert many.items() == [0, 1, 2]
    assert many.seen == 100
