"""How a run stands, and the picture of it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.plan import Plan, StagePlan
from sapwood.mixture.weights import Mixture
from sapwood.report.standing import Checkpoint, Standing
from sapwood.report.terminal import BARS, picture, sparkline
from sapwood.report.wording import short
from sapwood.runs.metrics import StepMetrics

pytestmark = pytest.mark.slow

NOW = 1_800_000_000.0
WEIGHTS = {"zh": {"web-zh": {"science": "1/2", "news": "3/10"}}, "en": {"web-en": "1/5"}}
PLAN = Plan(
    tuple(
        StagePlan(
            name=name,
            tokens=sequences * 64,
            start=start,
            start_tokens=start * 64,
            sequences=sequences,
            sequence_length=64,
            batch_sequences=8,
            round_sequences=None,
            mixture=Mixture.from_json(WEIGHTS),
            counts={},
        )
        for name, start, sequences in (("adaptation", 0, 80), ("enhancement", 80, 20))
    ),
    (),
    (),
    (),
)


def a_round(
    number: int, stage: str, start: int, sequences: int, weights: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "event": "round",
        "round": number,
        "stage": stage,
        "start": start,
        "start_tokens": start * 64,
        "sequences": sequences,
        "sequence_length": 64,
        "weights": weights or WEIGHTS,
        "reasons": ["Because."],
        **{name: {} for name in ("counts", "static", "first", "deficit", "orders", "losses", "states")},
    }


def a_step(step: int, **fields: Any) -> StepMetrics:
    known: dict[str, Any] = {
        "step": step,
        "position": step * 8,
        "tokens": step * 512,
        "loss": 3.0 - step / 100,
        "losses": {"web-zh/science": 3.0 - step / 10, "web-en": 2.0},
        "learning_rate": 1e-4,
        "gradient_norm": 1.5,
        "tokens_per_second": 100.0,
        "seconds": step * 2.0,
        "memory_bytes": 2**30,
        "utilisation": 0.41,
        "data_wait": 0.01,
        "stage": "adaptation",
        "skipped": False,
        "digest": "",
    }
    return StepMetrics(**{**known, **fields})


def evaluation(label: str, tokens: int, settings: str = "same", **levels: float) -> Evaluation:
    domains = {
        name.replace("_", "-"): DomainScore((DocumentScore("d", 1000, 300, 1000 * level * math.log(2)),))
        for name, level in levels.items()
    }
    return Evaluation(label=label, model="0", tokens=tokens, settings={"texts": settings}, domains=domains)


def a_standing(
    steps: int | list[StepMetrics] = 3, ledger: Sequence[dict[str, Any]] | None = None, **fields: Any
) -> Standing:
    """A run in the first of two rounds of its first stage."""
    lines = [a_step(step) for step in range(1, steps + 1)] if isinstance(steps, int) else steps
    known: dict[str, Any] = {
        "name": "tiny",
        "model": "org/model",
        "margin": 0.01,
        "plan": PLAN,
        "checkpoint": Checkpoint(2, NOW - 60),
        "evaluations": (),
        "written": NOW - 1,
        "now": NOW,
    }
    events = ({"event": "begin", "identity": {}}, a_round(0, "adaptation", 0, 40)) if ledger is None else ledger
    return Standing(**{**known, **fields}, ledger=Ledger.from_lines(events, Path("ledger.jsonl")), steps=tuple(lines))


def test_how_far_it_is_and_what_is_left() -> None:
    standing = a_standing()
    assert [(stage.name, stage.trained, stage.planned) for stage in standing.stages] == [
        ("adaptation", 1536, 5120),
        ("enhancement", 0, 1280),
    ]
    assert (standing.trained, standing.planned, standing.planned_steps) == (1536, 6400, 13)
    assert standing.tokens_per_second == 256.0  # 512 tokens in 2 seconds
    assert standing.seconds_left == pytest.approx((6400 - 1536) / 256)


def test_a_stage_that_a_gate_ended_is_done() -> None:
    ledger = (
        a_round(0, "adaptation", 0, 24),
        {"event": "gate", "stage": "adaptation", "position": 24, "reason": "Gain is flat."},
        a_round(1, "enhancement", 24, 20),
    )
    standing = a_standing(4, ledger=ledger)
    assert [(stage.trained, stage.planned) for stage in standing.stages] == [(1536, 1536), (512, 1280)]
    assert standing.planned == 2816
    assert [(event.tokens, event.title, event.text) for event in standing.events] == [
        (0, "round 1 (adaptation)", "Because."),
        (1536, "stage adaptation ends early", "Gain is flat."),
        (1536, "round 2 (enhancement)", "Because."),
    ]


def test_events_of_all_kinds_in_order() -> None:
    ledger = (
        a_round(0, "adaptation", 0, 40),
        {"event": "skip", "step": 2, "start": 8, "stop": 16, "reason": "loss inf, gradient norm 90"},
        {"event": "roll-back", "step": 1234, "start": 16, "stop": 24, "reason": "loss 9, gradient norm 7"},
        {"event": "something new"},
        {"event": "finish", "position": 24},
    )
    assert [(event.tokens, event.title, event.text) for event in a_standing(ledger=ledger).events] == [
        (0, "round 1 (adaptation)", "Because."),
        (0, "something new", ""),
        (512, "step 2 skipped", "loss inf, gradient norm 90"),
        (1024, "rolled back from step 1,234", "loss 9, gradient norm 7"),
        (1536, "end", "Trained 1.54K tokens."),
    ]


ROUND = a_round(0, "adaptation", 0, 40)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"steps": 0, "written": None}, "not begun: no step was trained yet"),
        ({}, "training"),
        ({"written": NOW - 119}, "training"),
        ({"written": NOW - 300}, "stalled or stopped? no step for 5 min (a step takes 2.0 s)"),
        (
            {"written": NOW - 300, "checkpoint": Checkpoint(3, None)},
            "stopped and saved after step 3? no step for 5 min",
        ),
        ({"written": None}, "training"),
        ({"steps": [a_step(1), a_step(2, seconds=60.0)], "written": NOW - 1000}, "training"),  # 20 steps are more
        ({"steps": 5, "written": NOW - 300, "checkpoint": Checkpoint(5, None)}, "measuring between rounds"),
        ({"steps": 5, "written": NOW - 1801}, "stalled or stopped? no step for 30 min 1 s (a step takes 2.0 s)"),
        ({"steps": 5, "ledger": (ROUND, {"event": "finish", "position": 40})}, "trained to its end"),
        (
            {
                "steps": 5,
                "ledger": (ROUND, {"event": "finish", "position": 40}),
                "evaluations": (evaluation("model", 2560),),
                "written": NOW - 9999,
            },
            "finished",
        ),
        ({"steps": 6, "ledger": (ROUND, {"event": "finish", "position": 40}, a_round(1, "more", 40, 40))}, "training"),
    ],
)
def test_what_it_is_doing(fields: dict[str, Any], state: str) -> None:
    assert a_standing(**fields).state == state


def test_domains_with_losses_and_what_was_measured() -> None:
    evaluations = (
        evaluation("base", 0, web_en=1.0, book_en=1.2, web_zh=1.9),
        evaluation("step-00000005", 2560, web_en=0.9, book_en=1.25, web_zh=1.5),
    )
    standing = a_standing([a_step(step) for step in range(1, 65)], evaluations=evaluations)
    science, news, english, watched = standing.domains
    assert [domain.name for domain in standing.domains] == ["web-zh/science", "web-zh/news", "web-en", "book-en"]
    assert (science.share, english.share, watched.share) == (0.5, 0.2, None)
    assert science.loss == pytest.approx(3.0 - 48.5 / 10)  # the mean of the last 32
    assert science.before == pytest.approx(3.0 - 16.5 / 10)  # and of the 32 before
    assert (news.loss, news.bits_per_byte) == (None, None)
    assert english.change == pytest.approx(0.1)
    assert watched.change == pytest.approx(-0.05)
    assert standing.measured_at == 2560


def test_other_texts_are_not_compared() -> None:
    evaluations = (evaluation("base", 0, web_en=1.0), evaluation("model", 9, settings="others", web_en=0.9))
    (english,) = [domain for domain in a_standing(evaluations=evaluations).domains if domain.name == "web-en"]
    assert (english.bits_per_byte, english.change) == (0.9, None)


def drawn(standing: Standing, width: int, height: int | None) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, height=height, force_terminal=False).print(picture(standing, width, height))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_the_picture_says_what_matters() -> None:
    evaluations = (evaluation("base", 0, web_en=1.0), evaluation("step-00000002", 1024, web_en=1.02))
    lines = drawn(a_standing(evaluations=evaluations), 80, 24)
    assert lines[0] == "tiny  training  org/model"
    assert lines[1].startswith("adaptation ")
    assert lines[1].endswith("30%  1.54K of 5.12K tokens")
    assert lines[3] == "step 3 of about 13  ·  1.54K of 6.4K tokens  ·  19 s left"
    assert lines[4] == "loss 2.980  █▄▁"
    assert lines[5] == "learning rate 0.0001  ·  gradient 1.5  ·  256 tokens/s  ·  MFU 41.0%"
    assert lines[6] == "memory 1.0 GiB  ·  waiting for data 1.0%  ·  checkpoint of step 2, 1 min ago"
    (english,) = [line.split() for line in lines if line.startswith("web-en")]
    assert english == ["web-en", "20.0%", "2.000", "1.020", "−0.020"]
    assert lines[-1] == "0  round 1 (adaptation)  Because."


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 16)])
@pytest.mark.parametrize("domains", [0, 3, 300])
@pytest.mark.parametrize("rounds", [1, 100])
def test_the_picture_fits(width: int, height: int, domains: int, rounds: int) -> None:
    weights = {"zh": {f"source-with-a-long-name-{number}": f"1/{domains}" for number in range(domains)}}
    ledger = tuple(
        {**a_round(number, "adaptation", number, 1, weights), "reasons": ["A reason. " * 30]}
        for number in range(rounds)
    )
    standing = a_standing(40, ledger=ledger)
    lines = drawn(standing, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    last = short(64 * (rounds - 1))
    assert lines[-1].startswith(f"{last:>{len(last)}}  round {rounds} (adaptation)  A reason."[:width])
    if domains == 300:
        assert len(lines) == height
        assert any(line.startswith("domain (and 2") for line in lines)
    assert sum("round" in line for line in drawn(standing, width, None)) >= rounds


def test_a_run_that_has_not_begun() -> None:
    lines = drawn(a_standing(0, plan=None, ledger=(), checkpoint=None, written=None), 80, 24)
    assert lines == ["tiny  not begun: no step was trained yet  org/model", "No plan yet."]


def test_a_run_whose_steps_say_less() -> None:
    step = a_step(1, losses={}, utilisation=None, gradient_norm=math.nan)
    text = "\n".join(drawn(a_standing([step]), 80, 24))
    assert "gradient –" in text
    assert "MFU" not in text


@given(st.lists(st.floats(allow_nan=True), max_size=300), st.integers(-2, 120))
def test_sparklines_are_as_wide_as_may_be(values: list[float], width: int) -> None:
    finite = [value for value in values if abs(value) < 1e300]
    line = sparkline(finite, width)
    assert len(line) == max(0, min(width, len(finite)))
    assert set(line) <= set(BARS)


def test_sparklines_go_from_lowest_to_highest() -> None:
    assert sparkline([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 8) == BARS
    assert sparkline([8.0, 8.0, 1.0, 1.0], 2) == "█▁"
    assert sparkline([2.0, 2.0], 8) == "▁▁"
