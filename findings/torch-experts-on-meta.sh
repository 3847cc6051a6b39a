#!/usr/bin/env bash
# torch 2.13.0, transformers 5.23.0: mixtures of experts in fp32 run on a CPU, and fail on the meta device.
#
# Seen: the forward pass of Qwen3-MoE, OLMoE and Mixtral in fp32 gives logits on a CPU. With the same model on `meta`,
# where shapes alone are computed, it raises "Expected inputs of BF16 type but got mat_a.dtype=torch.float32 and
# mat_b.dtype=torch.float32.": the rule for shapes of the grouped product of the experts takes bf16 alone. In bf16 all
# three run on `meta`, and dense Qwen3 runs in both types.
# What it means here: the memory of a mixture of experts is estimated on `meta`, in bf16; in fp32 the plan says that it is
# not known, and why.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'transformers==5.23.0'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

common = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, pad_token_id=None, bos_token_id=1, eos_token_id=2,
)
families = {
    "qwen3": {},
    "qwen3_moe": dict(head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16),
    "olmoe": dict(num_experts=4, num_experts_per_tok=2),
    "mixtral": dict(num_local_experts=4, num_experts_per_tok=2),
}


def outcome(name, device, dtype):
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[name](**common, **families[name])).to(dtype)
        try:
            return tuple(model(input_ids=torch.ones(1, 8, dtype=torch.long), use_cache=False).logits.shape)
        except RuntimeError as error:
            return str(error)


for name in families:
    for device, dtype in (("cpu", torch.float32), ("meta", torch.bfloat16), ("meta", torch.float32)):
        found = outcome(name, device, dtype)
        print(f"{name} on {device} in {dtype}: {found}")
        fails = name != "qwen3" and (device, dtype) == ("meta", torch.float32)
        expected = "Expected inputs of BF16 type" if fails else (1, 8, 96)
        assert found.startswith(expected) if fails else found == expected
P
