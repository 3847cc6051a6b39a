from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from sapwood.errors import SapwoodError
from sapwood.likelihood.score import Scored, rolling_windows, score

VOCABULARY = 128
LONGEST = 64


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LONGEST,
        attention_dropout=0.5,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def _sequences(*lengths: int) -> list[np.ndarray]:
    numbers = np.random.default_rng(0)
    return [numbers.integers(0, VOCABULARY, size=length) for length in lengths]


def _by_definition(model, sequence: np.ndarray, context: int) -> float:
    """The sum of -ln p of one sequence, alone and in double precision."""
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(sequence)[None]).logits[0].double()
    probabilities = logits.softmax(-1)
    return -sum(float(probabilities[at - 1, sequence[at]].log()) for at in range(context, len(sequence)))


def test_batched_scores_equal_each_row_alone_by_definition(model):
    sequences = _sequences(40, 3, 17, 2, 64, 31, 40)
    for scored, sequence in zip(score(model, sequences, max_tokens=130), sequences, strict=True):
        assert scored.tokens == len(sequence) - 1
        assert scored.nats == pytest.approx(_by_definition(model, sequence, 1), rel=1e-5)


def test_a_short_text_is_scored_alike_beside_a_long_one(model):
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "factor": 4.0}
    scaled = {"rope_type": "longrope", "rope_theta": 10_000.0, "original_max_position_embeddings": 20, **factors}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**model.config.to_dict(), "rope_parameters": scaled})).eval()
    sequences = _sequences(20, 22, 19, 21, 24)
    alone = [score(model, [sequence])[0].nats for sequence in sequences]
    for scored, nats in zip(score(model, sequences, max_tokens=1000), alone, strict=True):
        assert scored.nats == pytest.approx(nats, rel=1e-5)


def test_only_tokens_after_the_context_are_scored(model):
    sequences = _sequences(40, 38, 17, 41)
    contexts = [30, 37, 5, 1]
    for scored, sequence, context in zip(
        score(model, sequences, context=contexts, max_tokens=1000), sequences, contexts, strict=True
    ):
        assert scored.tokens == len(sequence) - context
        assert scored.nats == pytest.approx(_by_definition(model, sequence, context), rel=1e-5)


def test_a_common_context_is_left_out_of_the_logits(model):
    sequences = _sequences(40, 38)
    kept = []
    hook = model.lm_head.register_forward_hook(lambda module, inputs, output: kept.append(output.shape[1]))
    scored = score(model, sequences, context=[35, 36])
    hook.remove()
    assert kept == [39 - 34]
    assert scored[1].nats == pytest.approx(_by_definition(model, sequences[1], 36), rel=1e-5)


def test_log_probabilities_of_the_parts_add_up_to_the_whole(model):
    [sequence] = _sequences(50)
    [whole] = score(model, [sequence])
    first, second = score(model, [sequence[:20], sequence], context=[1, 20])
    assert first.nats + second.nats == pytest.approx(whole.nats, rel=1e-6)


def test_the_probabilities_of_all_next_tokens_add_up_to_one(model):
    [beginning] = _sequences(10)
    sequences = [np.append(beginning, token) for token in range(VOCABULARY)]
    scored = score(model, sequences, context=[10] * VOCABULARY)
    assert sum(np.exp(-item.nats) for item in scored) == pytest.approx(1, abs=1e-5)


def test_a_vocabulary_larger_than_a_chunk_changes_nothing(model, monkeypatch):
    sequences = _sequences(33, 20)
    expected = score(model, sequences)
    monkeypatch.setattr("sapwood.likelihood.batch.CPU_CHUNK", 100)
    assert score(model, sequences) == expected


def test_sequences_without_anything_to_predict_count_nothing(model):
    empty, alone, all_context = np.array([], dtype=np.int64), np.array([5]), np.array([5, 6, 7])
    scored = score(model, [empty, alone, all_context], context=[1, 1, 3])
    assert scored == [Scored(tokens=0, nats=0.0)] * 3
    assert score(model, []) == []


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.uint32])
def test_token_ids_of_any_integer_type_are_the_same(model, dtype):
    sequences = _sequences(12, 30)
    assert score(model, [sequence.astype(dtype) for sequence in sequences]) == score(model, sequences)


def test_the_training_mode_of_every_module_and_gradients_come_back(model):
    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    try:
        first, second = (score(model, _sequences(30)) for _ in range(2))
        assert first == second  # dropout is off
        assert [module.training for module in model.modules()] == modes
        assert torch.is_grad_enabled()
    finally:
        model.eval()


def test_autocast_computes_in_the_dtype_asked_for(model):
    seen = []
    hook = model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    [exact], [rounded] = score(model, _sequences(30)), score(model, _sequences(30), autocast=torch.bfloat16)
    hook.remove()
    assert seen == [torch.float32, torch.bfloat16]
    assert rounded.nats == pytest.approx(exact.nats, rel=0.02)
    assert rounded.nats != exact.nats


def test_progress_counts_predicted_tokens(model):
    amounts = []
    score(model, _sequences(30, 10, 2, 1), max_tokens=30, advance=lambda amount, remark="": amounts.append(amount))
    assert sum(amounts) == 29 + 9 + 1
    assert len(amounts) > 1


def test_a_sequence_longer_than_the_model_can_read_is_refused(model):
    score(model, _sequences(LONGEST + 1))
    with pytest.raises(SapwoodError, match="Sequence 1 has 66 tokens, but the model reads at most 64"):
        score(model, _sequences(5, LONGEST + 2))


@pytest.mark.parametrize("wrong", [VOCABULARY, -1])
def test_a_token_id_that_the_model_lacks_is_refused(model, wrong):
    with pytest.raises(SapwoodError, match=f"token id {wrong}, but the model knows the ids 0 to 127"):
        score(model, [np.array([1, wrong, 2])])


def test_a_first_token_without_context_is_refused(model):
    with pytest.raises(ValueError, match="context of 0"):
        score(model, _sequences(5), context=[0])


@given(st.lists(st.integers(0, 90), max_size=200), st.integers(3, 50), st.sampled_from([1, 2]), st.booleans())
def test_rolling_windows_predict_every_token_once(document, length, begin, every):
    prefix = [99, 98][:begin]
    windows = rolling_windows(np.array(document, dtype=np.uint32), prefix, length, every=every)
    assert [int(token) for window, context in windows for token in window[context:]] == document
    done = 0
    for number, (window, context) in enumerate(windows):
        front = prefix if every or number == 0 else []
        last = document[done - 1 : done] if number else []
        assert window[:context].tolist() == [*front, *last]
        assert len(window) <= length + 1
        done += len(window) - context


def test_every_window_begins_as_a_text_does():
    windows = rolling_windows(np.arange(10, 200), 2, 64)
    assert [(int(window[0]), context) for window, context in windows] == [(2, 1), (2, 2), (2, 2)]
    assert [int(window[1]) for window, _ in windows] == [10, 73, 136]


def test_rolling_windows_of_a_document_add_up(model):
    [document] = _sequences(150)
    windows = rolling_windows(document, 0, LONGEST)
    scored = score(model, [window for window, _ in windows], context=[context for _, context in windows])
    assert sum(item.tokens for item in scored) == len(document)


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        rolling_windows(np.array([1, 2]), 0, 0)


def test_sequences_that_differ_in_their_last_token_go_through_the_model_once(model):
    [beginning, other] = _sequences(20, 20)
    letters = [np.append(beginning, token) for token in (5, 9, 5, 77)]
    sequences = [letters[0], np.append(other, 5), *letters[1:], letters[0]]
    contexts = [20, 20, 20, 20, 20, 18]  # one of them is to be predicted from further back
    rows = []
    hook = model.register_forward_pre_hook(
        lambda module, args, given: rows.append(len(given["input_ids"])), with_kwargs=True
    )
    scored = score(model, sequences, context=contexts)
    hook.remove()
    assert sum(rows) == 3
    for found, sequence, context in zip(scored, sequences, contexts, strict=True):
        assert found.tokens == len(sequence) - context
        assert found.nats == pytest.approx(_by_definition(model, sequence, context), rel=1e-5)
    assert scored[0] == scored[3]


@pytest.mark.parametrize("kind", ["bert", "bert-generation", "big_bird", "electra"])
def test_a_model_that_sees_what_it_predicts_gives_no_likelihood(kind):
    small = {"vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model(kind, **small, intermediate_size=24, embedding_size=16)
    sequences = [np.array([7, 8, 9])]
    with pytest.raises(SapwoodError, match=r"sees the tokens that it predicts.*`is_decoder`, write true"):
        score(AutoModelForCausalLM.from_config(config), sequences)
    config.is_decoder = True
    assert score(AutoModelForCausalLM.from_config(config), sequences)[0].tokens == 2
