from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from one_rank import loss_of, shard, tiny_llama, weights_of
from sapwood.errors import SapwoodError
from sapwood.recipe.schema import Adapter
from sapwood.training.adapters import add_adapters
from sapwood.training.fp8 import use_fp8, without_fp8
from sapwood.training.layers import decoder_layers


@pytest.fixture
def torchao() -> None:
    pytest.importorskip("torchao.float8", reason="needs torchao")


def converted(model: PreTrainedModel) -> set[str]:
    return {name for name, module in model.named_modules() if type(module).__name__ == "Float8Linear"}


@pytest.mark.usefixtures("torchao")
def test_the_linear_modules_of_the_layers_are_converted() -> None:
    model = tiny_llama(intermediate_size=72)  # 72 is not divisible by 16
    names = list(weights_of(model))
    use_fp8(model, emulate=True)
    attention = [f"self_attn.{part}_proj" for part in "qkvo"]
    assert converted(model) == {f"model.layers.{layer}.{part}" for layer in (0, 1) for part in attention}
    assert list(weights_of(model)) == names


class Float8Linear(nn.Linear):
    """Called as torchao's is, and rounding as coarsely."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.to(torch.float8_e4m3fn).to(input.dtype))


def test_it_is_measured_without() -> None:
    """As the exported model will be: in the precision that evaluations name."""
    model = tiny_llama()
    expected = loss_of(model)
    for layer in decoder_layers(model):
        layer.mlp.up_proj.__class__ = Float8Linear
    kinds, rounded = converted(model), loss_of(model)
    assert len(kinds) == 2
    with without_fp8(model):
        assert not converted(model)
        assert loss_of(model).equal(expected)
    assert converted(model) == kinds
    assert loss_of(model).equal(rounded)
    assert not rounded.equal(expected)


@pytest.mark.usefixtures("torchao")
def test_adapters_are_not_converted() -> None:
    pytest.importorskip("peft", reason="needs PEFT")
    model = tiny_llama()
    add_adapters(model, Adapter(rank=16), seed=0)
    use_fp8(model, emulate=True)
    found = converted(model)
    assert len(found) == 14
    assert all(name.endswith("_proj.base_layer") for name in found)
    loss_of(model).backward()


@pytest.mark.usefixtures("torchao")
def test_a_sharded_model_learns_in_fp8() -> None:
    curves = []
    for fp8 in (False, True):
        model = tiny_llama()
        if fp8:
            use_fp8(model, emulate=True)
        shard(model, torch.bfloat16)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)
        losses = []
        for _ in range(12):
            loss = loss_of(model)
            loss.backward()
            assert all(parameter.grad.full_tensor().isfinite().all() for parameter in model.parameters())
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        curves.append(losses)
    plain, ours = curves
    assert ours != plain
    assert ours[0] == pytest.approx(plain[0], abs=0.01)
    assert ours[-1] < ours[0] - 0.5
    assert ours[-1] == pytest.approx(plain[-1], abs=0.05)


def test_other_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SapwoodError, match="needs a GPU, and there is none"):
        use_fp8(tiny_llama())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA A100")
    with pytest.raises(SapwoodError, match=r"NVIDIA A100 has 8\.0"):
        use_fp8(tiny_llama())
