"""A tiny Llama, and FSDP2 on one rank: the path that all models take."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from sapwood.recipe import Recipe
from sapwood.training.layers import decoder_layers


def tiny_llama(**changes: object) -> LlamaForCausalLM:
    """Always the same two layers of 64 numbers; `changes` are fields of its configuration."""
    torch.manual_seed(0)
    fields = {
        "vocab_size": 101,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
    return LlamaForCausalLM(LlamaConfig(**{**fields, **changes})).train()


def a_recipe(**training: object) -> Recipe:
    """A recipe of two stages; the arguments are fields of `training`."""
    stage = {"tokens": 1000, "mixture": {"en": 1}}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "model": "tiny",
            "sequence_length": 64,
            "sources": {"web": {"files": "web.jsonl"}},
            "groups": {"en": {"web": 1}},
            "stages": [{"name": "one", **stage}, {"name": "two", **stage}],
            "training": {"batch_tokens": 512, "learning_rate": 1e-3, **training},
            "evaluation": {"gain": {"domains": ["en"]}, "retention": {"domains": ["en"]}},
        }
    )


def shard(model: PreTrainedModel, dtype: torch.dtype | None = None) -> None:
    """Spreads the model over one rank, with `dtype` in forward and backward passes."""
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for module in [*decoder_layers(model), model]:
        fully_shard(module, mesh=mesh, mp_policy=policy)


def loss_of(model: PreTrainedModel, seed: int = 0) -> torch.Tensor:
    """The mean loss on 64 tokens drawn from `seed`."""
    ids = torch.randint(0, model.config.vocab_size, (2, 32), generator=torch.Generator().manual_seed(seed))
    logits = model(input_ids=ids, use_cache=False).logits.float()
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor, gathered if it is sharded."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()


def weights_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Copies of all parameters."""
    return {name: whole(parameter) for name, parameter in model.named_parameters()}
