"""Greedy texts: the likeliest token each time, whoever else is in the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

from sapwood.errors import SapwoodError
from sapwood.suites import evaluator
from sapwood.suites.evaluator import EvaluatedModel, cut_at, generate_texts

pytestmark = pytest.mark.slow

PROMPTS = [
    "the tree",
    "the tree adds a ring of living wood every year and keeps the old heart",
    "树木每年长出一圈",
    "wood",
    "heart that no longer grows but holds",
]


@pytest.fixture
def model(tiny_backbone: Path) -> EvaluatedModel:
    return EvaluatedModel.open(tiny_backbone, "fp32")


def by_definition(model: EvaluatedModel, prompt: str, count: int) -> list[int]:
    """The likeliest tokens, one after the other, without cache or padding."""
    ids = [*model.encoder.delimiters.begin, *model.encoder.encode_batch([prompt])[0].tolist()]
    start = len(ids)
    while len(ids) < start + count:
        with torch.no_grad():
            logits = model.model(input_ids=torch.tensor([ids], device=model.model.device)).logits
        following = int(logits[0, -1].argmax())
        ids.append(following)
        if following in model.ends:
            break
    return ids[start:]


def test_texts_are_the_likeliest_tokens_whatever_stands_beside_them(model: EvaluatedModel) -> None:
    together = generate_texts(model, PROMPTS, stop=[], max_tokens=12, title="test")
    alone = [generate_texts(model, [prompt], stop=[], max_tokens=12, title="test")[0] for prompt in PROMPTS]
    assert together == alone
    for prompt, written in zip(PROMPTS, together, strict=True):
        assert written.text == model.encoder.decode(by_definition(model, prompt, 12))
        assert not written.finished


def test_many_small_batches_give_the_same(model: EvaluatedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = generate_texts(model, PROMPTS, stop=[], max_tokens=6, title="test")
    monkeypatch.setattr(evaluator, "CACHE_TOKENS", {"cpu": 1, "cuda": 1})
    assert generate_texts(model, PROMPTS, stop=[], max_tokens=6, title="test") == expected


def test_texts_end_before_the_first_stop_string(model: EvaluatedModel) -> None:
    [whole, other] = generate_texts(model, PROMPTS[:2], stop=[], max_tokens=16, title="test")
    stop = whole.text[5:8]
    [written, beside] = generate_texts(model, PROMPTS[:2], stop=[stop, "never"], max_tokens=16, title="test")
    assert written.text == whole.text[: whole.text.index(stop)]
    assert written.finished
    assert beside.text == cut_at(other.text, [stop])


def test_the_model_stops_working_when_all_have_stopped(model: EvaluatedModel) -> None:
    steps = []
    hook = model.model.register_forward_hook(lambda *_: steps.append(1))
    [whole] = generate_texts(model, PROMPTS[:1], stop=[], max_tokens=16, title="test")
    assert len(steps) == 16
    steps.clear()
    generate_texts(model, PROMPTS[:1], stop=[whole.text[:4]], max_tokens=16, title="test")
    hook.remove()
    assert len(steps) < 8


def test_the_end_of_a_text_is_no_part_of_it(model: EvaluatedModel) -> None:
    ids = by_definition(model, PROMPTS[0], 12)
    seen = ids.index(ids[5])  # the first time this token is written
    ending = EvaluatedModel(
        **{name: getattr(model, name) for name in EvaluatedModel.__dataclass_fields__ if name != "ends"},
        ends=(ids[5],),
    )
    [written, *_] = generate_texts(ending, PROMPTS, stop=[], max_tokens=12, title="test")
    assert written.text == model.encoder.decode(ids[:seen])
    assert written.finished


def test_the_models_own_settings_for_generation_do_not_matter(model: EvaluatedModel) -> None:
    expected = generate_texts(model, PROMPTS, stop=[], max_tokens=12, title="test")
    mine = GenerationConfig(do_sample=True, temperature=5.0, repetition_penalty=9.0, num_beams=3, max_length=3)
    model.model.generation_config = mine
    model.model.train()
    assert generate_texts(model, PROMPTS, stop=[], max_tokens=12, title="test") == expected
    assert model.model.generation_config is mine
    assert model.model.training


def test_too_long_a_prompt_loses_its_beginning(model: EvaluatedModel) -> None:
    first, second = generate_texts(model, ["wood " * 300, "wood " * 500], stop=[], max_tokens=8, title="test")
    assert first == second
    assert first.cut
    with pytest.raises(SapwoodError, match="Lower the task's `max_tokens`"):
        generate_texts(model, ["wood"], stop=[], max_tokens=256, title="test")
