from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.distributed._tools.mem_tracker import MemTracker

from one_rank import loss_of, shard, tiny_llama, weights_of, whole
from sapwood.training.layers import decoder_layers
from sapwood.training.recompute import checkpoint_activations, draws_random_numbers

pytestmark = pytest.mark.slow

MODES = ("none", "selective", "full")


def gradients(mode: str, *, compiled: bool = False, dropout: float = 0.0) -> dict[str, torch.Tensor]:
    model = tiny_llama(attention_dropout=dropout)
    names = list(weights_of(model))
    checkpoint_activations(decoder_layers(model), mode)
    if compiled:
        for layer in decoder_layers(model):
            layer.compile(backend="aot_eager")
    shard(model)
    assert list(weights_of(model)) == names
    torch.manual_seed(1)
    loss_of(model).backward()
    return {name: whole(parameter.grad) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_gradients_are_the_same_to_the_bit(mode: str, dropout: float) -> None:
    expected, found = gradients("none", dropout=dropout), gradients(mode, dropout=dropout)
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


@pytest.mark.parametrize("mode", MODES)
def test_compiled_layers_too(mode: str) -> None:
    expected, found = gradients("none"), gradients(mode, compiled=True)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_they_are_compiled(mode: str) -> None:
    """Whole, by one graph: the layers have the same code."""
    model = tiny_llama()
    checkpoint_activations(decoder_layers(model), mode)
    torch._dynamo.reset()
    graphs = CompileCounterWithBackend("aot_eager")
    for layer in decoder_layers(model):
        layer.compile(backend=graphs, fullgraph=True)
    loss_of(model).backward()
    assert graphs.frame_count == 1


def test_who_draws_random_numbers_is_observed() -> None:
    assert draws_random_numbers(tiny_llama(attention_dropout=0.1).config)
    assert not draws_random_numbers(tiny_llama().config)


def test_less_is_kept() -> None:
    kept = {}
    for mode in MODES:
        model = tiny_llama(vocab_size=11, num_hidden_layers=6)
        checkpoint_activations(decoder_layers(model), mode)
        tracker = MemTracker()
        tracker.track_external(model)
        with tracker:
            before = sum(sizes["Total"] for sizes in tracker.get_tracker_snapshot().values())
            loss = loss_of(model)
            kept[mode] = sum(sizes["Total"] for sizes in tracker.get_tracker_snapshot().values()) - before
        loss.backward()
    assert kept["none"] > 1.5 * kept["selective"] > 3 * kept["full"]


@pytest.mark.parametrize("mode", MODES)
def test_it_is_the_backward_pass_that_computes_again(mode: str) -> None:
    model = tiny_llama()
    calls: list[int] = []
    for layer in decoder_layers(model):
        layer.input_layernorm.register_forward_hook(lambda *_: calls.append(1))
    checkpoint_activations(decoder_layers(model), mode)
    loss = loss_of(model)
    assert len(calls) == 2
    loss.backward()
    assert len(calls) == (2 if mode == "none" else 4)
