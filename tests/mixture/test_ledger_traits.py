"""What was observed of a model stands in the ledger, once for as long as it stays the same, and in sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sapwood.backbone.traits import ModelTraits
from sapwood.files import read_lines
from sapwood.mixture.ledger import Ledger

HYBRID = ModelTraits("sdpa", "rows", "rows", chunked_loss=False)


def test_the_ledger_keeps_what_was_observed_and_writes_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for traits in (HYBRID, HYBRID, replace(HYBRID, isolation="positions")):
        Ledger(path).observe(traits)
        assert Ledger(path).traits == traits
    assert [line["event"] for line in read_lines(path)] == ["model", "model"]


def test_a_run_that_was_begun_before_has_no_traits(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "ledger.jsonl").traits is None


def test_sentences_follow_the_settings() -> None:
    isolated = " ".join(HYBRID.sentences(isolate_documents=True, chunked=True))
    assert "do not see each other: by a row for each" in isolated
    assert "of whole logits, since its output head alone was not seen to give the same" in isolated
    assert "see each other, as in the paper" in " ".join(HYBRID.sentences(isolate_documents=False, chunked=False))
    safest = replace(HYBRID, unseen="ValueError: wide")
    assert "could be looked at (ValueError: wide)" in " ".join(safest.sentences(isolate_documents=True, chunked=True))


def test_how_texts_begin_and_end_is_kept_and_said(tmp_path: Path) -> None:
    told = replace(HYBRID, begin="<bos>", end="</s>")
    Ledger(tmp_path / "ledger.jsonl").observe(told)
    assert Ledger(tmp_path / "ledger.jsonl").traits == told
    for begin, words in (("<bos>", "<bos>"), ("", "nothing")):
        first, *_ = replace(told, begin=begin).sentences(isolate_documents=True, chunked=True)
        assert first == f"Texts begin with {words} and end with </s>."
    assert "Texts begin" not in " ".join(HYBRID.sentences(isolate_documents=True, chunked=True))


def test_experts_are_trained_without_an_auxiliary_loss_and_that_is_said() -> None:
    assert "auxiliary" not in " ".join(HYBRID.sentences(isolate_documents=True, chunked=True))
    of_experts = replace(HYBRID, experts=8)
    assert "from 8 experts: they are trained without an auxiliary loss" in " ".join(
        of_experts.sentences(isolate_documents=True, chunked=True)
    )
    before = {name: value for name, value in of_experts.to_json().items() if name != "experts"}
    assert ModelTraits.from_json(before) == HYBRID
