"""What is observed of a model: found once, kept, and found again where the cache has it no more or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig

from sapwood.backbone import observe

CONFIG = LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2)
looks: list[int] = []


def look(model: Any) -> dict[str, int]:
    looks.append(1)
    return {"layers": len(model.model.layers)}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAPWOOD_CACHE", str(tmp_path))
    looks.clear()
    return tmp_path / "observed"


def observed_by_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(observe, "_known", {})
    return observe.observed(CONFIG, "layers", look)


def test_a_model_is_looked_at_once_for_all_processes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = observed_by_a_new_process(monkeypatch)
    assert observed_by_a_new_process(monkeypatch) == first
    assert "layers" in first
    assert len(looks) == 1


@pytest.mark.parametrize("damage", ["", "{", '{"found"', "null", '{"model_type": "llama"}'])
def test_a_damaged_cache_is_looked_past(cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    first = observed_by_a_new_process(monkeypatch)
    (kept,) = cache.glob("*.json")
    kept.write_text(damage)
    assert observed_by_a_new_process(monkeypatch) == first
    assert len(looks) == 2


def test_a_cache_that_cannot_be_written_to_costs_a_look(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text("a file where the directory would be")
    assert observed_by_a_new_process(monkeypatch) == observed_by_a_new_process(monkeypatch)
    assert len(looks) == 2
