from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    Qwen3NextConfig,
    SmolLM3Config,
)

from sapwood.backbone.expand import OUTPUTS, block_order, expand
from sapwood.backbone.load import load_config
from sapwood.errors import SapwoodError

pytestmark = pytest.mark.slow

INPUTS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]])
SIZE = {
    "vocab_size": 16,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": None,
}
MIXTURE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
FAMILIES = {
    "llama": LlamaConfig(**SIZE),
    "llama with biases": LlamaConfig(attention_bias=True, mlp_bias=True, **SIZE),
    "mistral": MistralConfig(sliding_window=4, **SIZE),
    # the upper two blocks look at four tokens alone: said by a number, which new blocks must not move
    "qwen2": Qwen2Config(use_sliding_window=True, sliding_window=4, max_window_layers=2, **SIZE),
    "qwen3": Qwen3Config(**SIZE),
    "qwen3 of experts": Qwen3MoeConfig(**MIXTURE, **SIZE),
    "smollm3": SmolLM3Config(no_rope_layer_interval=2, **SIZE),
    "gemma2": Gemma2Config(sliding_window=4, query_pre_attn_scalar=8, **SIZE),
    "olmo2": Olmo2Config(**SIZE),
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(config: PreTrainedConfig, dtype: torch.dtype = torch.float32, shard: str = "50GB") -> Path:
        torch.manual_seed(2)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(tmp_path / "source", max_shard_size=shard)
        return tmp_path / "source"

    return make


def logits(directory: Path) -> torch.Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(directory)(input_ids=INPUTS).logits


def tensors(directory: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in directory.glob("*.safetensors") for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("blocks", [1, 3])
def test_the_expanded_model_computes_the_same(write: Write, tmp_path: Path, family: str, blocks: int) -> None:
    source, target = write(FAMILIES[family]), tmp_path / "target"
    manifest, _ = expand(source, target, blocks)
    assert manifest.counts["blocks"] == load_config(target).num_hidden_layers == 4 + blocks
    assert torch.equal(logits(target), logits(source))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_copies_are_those_of_the_block_before_with_their_outputs_zero(
    write: Write, tmp_path: Path, dtype: torch.dtype
) -> None:
    source, target = write(FAMILIES["llama with biases"], dtype), tmp_path / "target"
    manifest, names = expand(source, target, 2)
    assert names == ["model.layers.2", "model.layers.5"]
    before, after = tensors(source), tensors(target)
    for place, origin in enumerate([0, 1, 1, 2, 3, 3]):
        for name in [name for name in before if f"layers.{origin}." in name]:
            copy = after.pop(name.replace(f"layers.{origin}.", f"layers.{place}."))
            assert copy.dtype == dtype
            zero = place in (2, 5) and not OUTPUTS.isdisjoint(name.split("."))
            assert torch.equal(copy, torch.zeros_like(copy) if zero else before[name])
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert manifest.counts["parameters"] == sum(tensor.numel() for tensor in tensors(target).values())
    assert manifest.counts["parameters_before"] == sum(tensor.numel() for tensor in before.values())


def test_new_blocks_learn_from_the_first_step(write: Write, tmp_path: Path) -> None:
    _, names = expand(write(FAMILIES["llama"]), tmp_path / "target", 2)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "target")
    model(input_ids=INPUTS, labels=INPUTS).loss.backward()
    gradients = {name: parameter.grad.abs().max() for name, parameter in model.named_parameters()}
    for name in names:
        assert gradients[f"{name}.self_attn.o_proj.weight"] > 0
        assert gradients[f"{name}.mlp.down_proj.weight"] > 0


def test_settings_by_block_are_lengthened(write: Write, tmp_path: Path) -> None:
    source = write(FAMILIES["gemma2"])
    expand(source, tmp_path / "target", 2)
    before, after = (json.loads((at / "config.json").read_text()) for at in (source, tmp_path / "target"))
    old = before["layer_types"]
    assert len(set(old)) == 2
    new = [old[0], old[1], old[1], old[2], old[3], old[3]]
    assert after == before | {"layer_types": new, "num_hidden_layers": 6}


def test_weights_in_several_files_stay_so(write: Write, tmp_path: Path) -> None:
    source, target = write(FAMILIES["llama"], shard="8KB"), tmp_path / "target"
    expand(source, target, 3)
    files = sorted(file.name for file in source.glob("*.safetensors*"))
    assert len(files) > 2
    assert sorted(file.name for file in target.glob("*.safetensors*")) == files
    index = json.loads((target / "model.safetensors.index.json").read_text())
    found = tensors(target)
    assert index["weight_map"].keys() == found.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in found.values())
    assert torch.equal(logits(target), logits(source))
    assert all(file.stat().st_mode == (target / "config.json").stat().st_mode for file in target.glob("*.safetensors"))


@given(st.integers(1, 100).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count))))
def test_copies_are_evenly_spread(numbers: tuple[int, int]) -> None:
    count, more = numbers
    order = block_order(count, more)
    assert [origin for origin, is_new in order if not is_new] == list(range(count))
    copied = [place for place, (_, is_new) in enumerate(order) if is_new]
    assert all(order[place] == (order[place - 1][0], True) and not order[place - 1][1] for place in copied)
    groups = [later - earlier - 1 for earlier, later in zip([-1, *copied], copied, strict=False)]
    assert len(copied) == more
    assert max(groups) - min(groups) <= 1
    assert copied[-1] == len(order) - 1


def test_done_once_it_is_not_done_again(write: Write, tmp_path: Path) -> None:
    source, target = write(FAMILIES["llama"]), tmp_path / "target"
    first = expand(source, target, 2)
    written = (target / "model.safetensors").stat().st_mtime_ns
    assert expand(source, target, 2) == first
    assert (target / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(SapwoodError, match=r"was made otherwise \(blocks 2, now 1\)"):
        expand(source, target, 1)
    assert (target / "model.safetensors").stat().st_mtime_ns == written
    assert expand(source, tmp_path / "other", 1)[1] == ["model.layers.4"]
    with pytest.raises(SapwoodError, match="is there already, and was not made by this command"):
        expand(target, source, 1)


@pytest.mark.parametrize("blocks", [0, 5])
def test_a_number_of_blocks_that_cannot_be_is_refused(write: Write, tmp_path: Path, blocks: int) -> None:
    with pytest.raises(SapwoodError, match=f"has 4 blocks: write a number of new ones from 1 to 4, not {blocks}"):
        expand(write(FAMILIES["llama"]), tmp_path / "target", blocks)


def test_other_kinds_of_blocks_are_refused(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    plain = {name: value for name, value in SIZE.items() if name not in ("num_key_value_heads", "head_dim")}
    with pytest.raises(SapwoodError, match=r"GPTNeoXForCausalLM\) cannot be expanded: .*o_proj and down_proj"):
        expand(write(GPTNeoXConfig(**plain)), target, 1)
    with pytest.raises(SapwoodError, match="cannot be expanded: every block must end"):  # every other is no attention
        expand(write(Qwen3NextConfig(**MIXTURE, shared_expert_intermediate_size=8, **SIZE)), target, 1)
    with pytest.raises(SapwoodError, match="blocks of 2 kinds"):
        expand(write(Qwen3MoeConfig(mlp_only_layers=[1], **MIXTURE, **SIZE)), target, 1)
    source = write(FAMILIES["llama"])
    monkeypatch.setattr("transformers.models.llama.modeling_llama.LlamaMLP.forward", lambda self, x: x)
    with pytest.raises(SapwoodError, match="changes what goes through it"):
        expand(source, target, 1)
    assert not target.exists()
