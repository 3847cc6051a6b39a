from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from one_rank import a_recipe, loss_of, shard, tiny_llama, weights_of
from sapwood.errors import SapwoodError
from sapwood.recipe.schema import Adapter
from sapwood.training.adapters import MergedWeights, add_adapters, backbone_name, is_adapter
from sapwood.training.optimizer import build_optimizer
from sapwood.training.trainable import select
from small_models import EXPERTS, small_model

pytestmark = pytest.mark.slow

pytest.importorskip("peft", reason="needs PEFT")
KINDS = pytest.mark.parametrize("kind", ["lora", "dora"])


def adapted(kind: str, **settings: object) -> tuple[PreTrainedModel, Adapter]:
    model, adapter = tiny_llama(), Adapter(kind=kind, rank=4, **settings)
    add_adapters(model, adapter, seed=1)
    return model, adapter


def adapters_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights_of(model).items() if is_adapter(name)}


def disturb(model: PreTrainedModel) -> None:
    """As if the adapters had been trained."""
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            parameter.data += 0.1 * torch.randn_like(parameter)


@KINDS
def test_a_fresh_adapter_changes_nothing(kind: str) -> None:
    model, _ = adapted(kind)
    torch.testing.assert_close(loss_of(model), loss_of(tiny_llama()), atol=1e-6, rtol=0)
    assert type(model) is type(tiny_llama())
    assert {backbone_name(name) for name in weights_of(model) if not is_adapter(name)} == set(weights_of(tiny_llama()))


def test_adapters_are_drawn_from_the_seed_alone() -> None:
    one = adapters_of(adapted("lora")[0])
    again, other = tiny_llama(), tiny_llama()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    add_adapters(again, Adapter(rank=4), seed=1)
    assert torch.equal(torch.rand(1), expected)
    add_adapters(other, Adapter(rank=4), seed=2)
    assert all(torch.equal(one[name], tensor) for name, tensor in adapters_of(again).items())
    assert any(not torch.equal(one[name], tensor) for name, tensor in adapters_of(other).items())


def test_targets_are_linear_modules_of_the_layers() -> None:
    everywhere = adapters_of(adapted("lora")[0])
    assert len(everywhere) == 2 * 7 * 2
    assert not any("lm_head" in name for name in everywhere)
    some = adapters_of(adapted("lora", targets=["q_proj", "up_proj"])[0])
    assert len(some) == 2 * 2 * 2
    with pytest.raises(SapwoodError, match=r"no linear module 'q_porj'\. Did you mean 'q_proj'"):
        adapted("lora", targets=["q_porj"])
    with pytest.raises(SapwoodError, match="no linear module 'embed_tokens'"):
        adapted("lora", targets=["embed_tokens"])


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe", "gpt_oss", "olmoe"])
def test_experts_that_adapters_do_not_reach_are_not_called_all(kind: str) -> None:
    model = small_model(kind, **EXPERTS, num_local_experts=4)
    with pytest.raises(SapwoodError, match=r"passes over \d+% .*experts\.\w+' \[4, .*targets: \[k_proj, o_proj"):
        add_adapters(model, Adapter(), seed=0)
    add_adapters(model, Adapter(targets=["q_proj"]), seed=0)


def test_layers_without_any_linear_module_have_no_adapter() -> None:
    with pytest.raises(SapwoodError, match=r"passes over 100% .*Take `adapter` out"):
        add_adapters(small_model("gpt2"), Adapter(), seed=0)


@KINDS
def test_merging_is_that_of_peft(kind: str) -> None:
    model, adapter = adapted(kind, alpha=6)
    disturb(model)
    with torch.no_grad():
        model.model.embed_tokens.weight += 0.1
    trained = {name: tensor for name, tensor in weights_of(model).items() if is_adapter(name) or "embed" in name}
    merged = MergedWeights(weights_of(tiny_llama()), trained, adapter)
    plain = tiny_llama()
    assert set(merged) < set(weights_of(plain))
    plain.load_state_dict(dict(merged), strict=False)
    torch.testing.assert_close(loss_of(plain), loss_of(model), atol=1e-5, rtol=0)
    for module in model.modules():
        if hasattr(module, "merge"):
            module.merge()
    for name, tensor in weights_of(model).items():
        if not is_adapter(name) and backbone_name(name) in merged:
            torch.testing.assert_close(merged[backbone_name(name)], tensor, atol=1e-6, rtol=0)


@KINDS
def test_what_was_not_trained_merges_to_the_backbone(kind: str) -> None:
    model, adapter = tiny_llama().bfloat16(), Adapter(kind=kind)
    before = weights_of(model)
    add_adapters(model, adapter, seed=0)
    trained = adapters_of(model)
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}
    merged = MergedWeights(before, trained, adapter)
    assert merged
    assert all(torch.equal(tensor.bfloat16(), before[name]) for name, tensor in merged.items())


def test_weights_of_another_model_are_not_merged() -> None:
    backbone = weights_of(tiny_llama())
    with pytest.raises(SapwoodError, match=r"the base model has no 'model\.layers\.7\.mlp\.up_proj\.weight'"):
        MergedWeights(backbone, {"model.layers.7.mlp.up_proj.lora_A.default.weight": torch.zeros(1)}, Adapter())


@KINDS
def test_sharded_adapters_learn_and_the_rest_stays(kind: str) -> None:
    recipe = a_recipe(adapter={"kind": kind, "rank": 4, "dropout": 0.1})
    model = tiny_llama().bfloat16()
    add_adapters(model, recipe.training.adapter, seed=0)
    select(model, recipe, recipe.stages[0])
    shard(model, torch.bfloat16)
    before = weights_of(model)
    optimizer = build_optimizer(model, recipe)
    optimizer.param_groups[0]["lr"] = 1e-2
    losses = []
    for _ in range(8):
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.05
    changed = {name for name, tensor in weights_of(model).items() if not torch.equal(tensor, before[name])}
    trained = {name for name in before if is_adapter(name)}
    assert changed <= trained
    assert {name for name in trained if "lora_B" in name} <= changed


def test_layers_that_share_weights_have_no_adapter() -> None:
    model = tiny_llama()
    for layer in model.model.layers:
        layer.mlp.gate_proj.weight = model.model.layers[0].mlp.gate_proj.weight
    with pytest.raises(
        SapwoodError, match=r"layers\.0\.mlp\.gate_proj' of .* is 'model\.layers\.1\.mlp\.gate_proj' too"
    ):
        add_adapters(model, Adapter(), 0)
    add_adapters(model, Adapter(targets=["q_proj"]), 0)
