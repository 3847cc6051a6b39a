"""Losses between rounds: what is compared with what."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sapwood.evaluation.in_loop import measure_in_loop
from sapwood.evaluation.result import BASE, DocumentScore, DomainScore, Evaluation
from sapwood.mixture.measured import Losses


def evaluation(label: str, tokens: int, nats: float) -> Evaluation:
    """Two sources of three documents each, a little unlike."""
    domains = {
        name: DomainScore(tuple(DocumentScore(f"{name}{n}", 100, 25, nats * shift * (1 + n / 10)) for n in range(3)))
        for name, shift in (("a", 1), ("b", 2))
    }
    return Evaluation(label=label, model=label, tokens=tokens, settings={"window": 8}, domains=domains)


class Fake:
    """An evaluator that finds what it is told to."""

    recipe = SimpleNamespace(groups={"g": {"a": 1, "b": 1}})
    settings: dict[str, Any] = {"window": 8}  # noqa: RUF012

    def __init__(self, nats: float) -> None:
        self.nats = nats
        self.measured = 0

    def measure(self, model: object, *, label: str, tokens: int, **_: object) -> Evaluation:
        self.measured += 1
        return evaluation(label, tokens, self.nats)


def between(directory: Path, label: str, tokens: int, nats: float, last: int | None) -> Losses:
    return measure_in_loop(
        Fake(nats),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        directory,
        label=label,
        model_fingerprint=label,
        tokens=tokens,
        last_tokens=last,
        write=True,
        tell=bool,
    )


def test_changes_are_since_the_last_round_and_since_the_backbone(tmp_path: Path) -> None:
    between(tmp_path, BASE, 0, 50.0, None)
    between(tmp_path, "step-1", 100, 45.0, 0)
    found = between(tmp_path, "step-2", 200, 40.0, 100)
    bits = 25 * 1.1 * math.log(2) ** -1 / 25 / 100  # bits per byte of one nat a document, on the mean
    assert found["a"].since_last is not None
    assert found["a"].since_base is not None
    assert found["a"].since_last.value == pytest.approx(5 * bits)
    assert found["a"].since_base.value == pytest.approx(10 * bits)
    assert found["g"].since_base is not None
    assert found["g"].since_base.value == pytest.approx(15 * bits), "the plain mean of its sources"
    assert 0 < found["a"].since_base.standard_error < found["a"].standard_error, "paired"


def test_the_backbone_measured_again_says_the_same(tmp_path: Path) -> None:
    """A run that was killed between measuring and deciding must not decide otherwise."""
    first = between(tmp_path, BASE, 0, 50.0, None)
    assert between(tmp_path, BASE, 0, 50.0, None) == first
    assert first["a"].since_base is not None
    assert first["a"].since_base.value == 0
    assert first["a"].since_last is None


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    evaluator = Fake(50.0)
    for _ in range(2):
        measure_in_loop(
            evaluator,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            tmp_path,
            label=BASE,
            model_fingerprint=BASE,
            tokens=0,
            last_tokens=None,
            write=True,
            tell=bool,
        )
    assert evaluator.measured == 1
