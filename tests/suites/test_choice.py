"""Multiple choice: likelihoods by definition, and which option each measure takes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from exams import choice_task, choices, write_rows
from sapwood.backbone.tokenizer import Delimiters
from sapwood.errors import SapwoodError
from sapwood.recipe.task import Shots
from sapwood.suites.evaluator import EvaluatedModel, TorchEvaluator, generate_texts, score_continuations
from sapwood.suites.judge import judge_choice, preferred
from sapwood.suites.question import Pair, put_questions
from sapwood.suites.task_item import load_task_items


@pytest.fixture(scope="module")
def model(tiny_backbone: Path) -> EvaluatedModel:
    return EvaluatedModel.open(tiny_backbone, "fp32")


def by_definition(model: EvaluatedModel, front: list[int], context: str, text: str) -> float:
    """ln p of the tokens of context and text together that are not the context's, alone and in double precision."""
    tokenizer = Tokenizer.from_file(str(tokenizer_of(model)))
    whole = tokenizer.encode(context + text, add_special_tokens=False).ids
    start = len(tokenizer.encode(context, add_special_tokens=False).ids)
    ids = torch.tensor([[*front, *whole]], device=model.model.device)
    with torch.no_grad():
        logits = model.model(input_ids=ids).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(front) + at - 1, whole[at]]) for at in range(start, len(whole)))


def tokenizer_of(model: EvaluatedModel) -> Path:
    return Path(model.model.config._name_or_path) / "tokenizer.json"


def test_continuations_are_scored_by_definition(model: EvaluatedModel) -> None:
    pairs = [
        Pair("the tree adds a ring of", " living wood"),
        Pair("the tree adds a ring of", " wood"),
        Pair("树木每年长出一圈", "新的边材"),
        Pair("the tree", " adds a ring of living wood every year and keeps the old heart"),
    ]
    found = score_continuations(model, pairs, "test")
    for pair, scored in zip(pairs, found, strict=True):
        assert scored.loglikelihood == pytest.approx(by_definition(model, [], *pair), rel=1e-5)
        assert not scored.cut


def test_a_text_without_context_is_predicted_from_the_token_that_begins_or_ends_texts(model: EvaluatedModel) -> None:
    [scored] = score_continuations(model, [Pair("", " the wood")], "test")
    assert scored.loglikelihood == pytest.approx(
        by_definition(model, list(model.encoder.delimiters.prefix), "", " the wood"), rel=1e-5
    )
    assert model.encoder.delimiters.begin == ()


def test_spaces_at_the_end_of_a_context_belong_to_the_text(model: EvaluatedModel) -> None:
    apart, together = score_continuations(
        model, [Pair("the tree adds a ", "ring"), Pair("the tree adds a", " ring")], ""
    )
    assert apart == together


def test_a_token_that_begins_every_text_stands_in_front(tiny_backbone: Path, tmp_path: Path) -> None:
    for file in tiny_backbone.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    begin = ("<|im_start|>", tokenizer.token_to_id("<|im_start|>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<|im_start|> $A", special_tokens=[begin])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "bos_token": "<|im_start|>"}))
    model = EvaluatedModel.open(tmp_path, "fp32")
    assert model.encoder.delimiters == Delimiters((begin[1],), 0, (begin[1],))
    pair = Pair("the tree adds a ring of", " living wood")
    [scored] = score_continuations(model, [pair], "test")
    assert scored.loglikelihood == pytest.approx(by_definition(model, [begin[1]], *pair), rel=1e-5)

    # Too long a context loses its own beginning, and not that of every text.
    rows: list[list[int]] = []
    model.model.register_forward_pre_hook(
        lambda module, args, given: rows.extend(given["input_ids"].tolist()), with_kwargs=True
    )
    [scored] = score_continuations(model, [Pair("wood " * 300 + pair.context, pair.continuation)], "test")
    assert scored.cut
    assert [(row[0], len(row)) for row in rows] == [(begin[1], 256)]
    rows.clear()
    [written] = generate_texts(model, ["wood " * 300], stop=(), max_tokens=2, title="test")
    assert written.cut
    assert (rows[0][0], len(rows[0])) == (begin[1], 254)


def test_text_that_spells_a_control_token_stays_text(model: EvaluatedModel) -> None:
    [scored] = score_continuations(model, [Pair("the tree", "<|endoftext|>")], "test")
    assert scored.loglikelihood < -20  # many tokens, not one


def test_too_long_a_context_loses_its_beginning(model: EvaluatedModel) -> None:
    ending = "the tree adds a ring of"
    pairs = [Pair("wood " * length + ending, " living wood") for length in (300, 400)]
    first, second = score_continuations(model, pairs, "test")
    assert first == second
    assert first.cut
    with pytest.raises(SapwoodError, match="reads at most 256"):
        score_continuations(model, [Pair("the", " wood" * 300)], "test")


def test_preferences_by_hand() -> None:
    likelihoods = {"cloze": [-6.0, -8.0, -7.0], "unconditional": [-1.0, -2.5, -7.0], "letters": [-1.0, -2.0, -0.5]}
    taken = preferred(["ab", "abcd", "年轮"], likelihoods)  # type: ignore[arg-type]
    assert taken == {"cloze": 0, "cloze-characters": 1, "cloze-bytes": 2, "cloze-pmi": 2, "letters": 2}
    assert preferred(["a", "b"], {"letters": [-1.0, -1.0]}) == {"letters": 0}
    assert preferred(["", "b"], {"cloze": [-1.0, -2.0]})["cloze-bytes"] == 0


@given(st.lists(st.tuples(st.text(min_size=1), st.floats(-1000, -1e-3)), min_size=2, max_size=6))
def test_the_order_of_options_does_not_matter(options: list[tuple[str, float]]) -> None:
    texts, values = zip(*options, strict=True)
    forwards = preferred(texts, {"cloze": values})
    backwards = preferred(texts[::-1], {"cloze": values[::-1]})
    for metric, number in forwards.items():
        divide = {"cloze": lambda text: 1, "cloze-characters": len, "cloze-bytes": lambda text: len(text.encode())}
        by = divide[metric]
        other = len(texts) - 1 - backwards[metric]
        assert values[number] / by(texts[number]) == values[other] / by(texts[other])


def test_a_model_is_judged_by_every_measure(model: EvaluatedModel, tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", choices())
    task = choice_task(metric="letters")
    questions = put_questions(task, load_task_items(task, tmp_path))
    answers = TorchEvaluator(model).answer(task, questions)
    for question, found in zip(questions, answers.loglikelihoods, strict=True):
        result = judge_choice(task, question, found, cut=False)
        assert set(result.scores) == {"letters", "cloze", "cloze-characters", "cloze-bytes", "cloze-pmi"}
        assert result.prediction == "ABCD"[int(np.argmax(result.loglikelihoods["letters"]))]
        assert result.right("letters") == (result.prediction == result.gold)
        gold = question.item.gold
        assert result.bits == pytest.approx(-found["cloze"][gold] / math.log(2))
        assert result.bytes == len(f" {question.item.answer}".encode())


def test_bits_are_the_same_whether_all_options_are_scored_or_one(model: EvaluatedModel, tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", choices())
    found = []
    for metric in ("cloze-bytes", "letters"):
        task = choice_task(metric=metric, shots=Shots(count=1))
        questions = put_questions(task, load_task_items(task, tmp_path))
        answers = TorchEvaluator(model).answer(task, questions)
        judged = [judge_choice(task, *pair, cut=False) for pair in zip(questions, answers.loglikelihoods, strict=True)]
        found.append(judged)
    for whole, part in zip(*found, strict=True):
        assert whole.bits == pytest.approx(part.bits, rel=1e-5)
        assert set(part.scores) == {"letters"}
        assert whole.scores["letters"] == part.scores["letters"]
