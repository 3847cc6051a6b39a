#!/usr/bin/env bash
# transformers 5.23.0 with torch 2.13.0: a mixture of experts in fp32 runs on a CPU, and not on the meta device.
#
# Seen: a small Qwen3-MoE computes logits on a CPU in fp32 and in bf16, and on `meta` in bf16. On `meta` in fp32 it
# raises "Expected inputs of BF16 type but got mat_a.dtype=torch.float32 and mat_b.dtype=torch.float32": the grouped
# product of the experts has a shape function that knows bf16 alone, and a kernel on the CPU that knows both. So an
# estimate of memory without storage fails for a model that trains, and only in the dtype in which masters are kept.
# What it means here: where the meta device fails, the plan says that memory was not estimated, and why.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'transformers==5.23.0'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import torch
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

config = Qwen3MoeConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, head_dim=16, num_experts=4, num_experts_per_tok=2,
)
seen = {}
for device in ("cpu", "meta"):
    for dtype in (torch.float32, torch.bfloat16):
        with torch.device(device):
            model = Qwen3MoeForCausalLM._from_config(config, dtype=dtype)
            try:
                seen[device, dtype] = str(model(torch.zeros(1, 8, dtype=torch.long)).logits.dtype)
            except RuntimeError as error:
                seen[device, dtype] = str(error)
        print(device, dtype, seen[device, dtype], sep=": ")
assert seen["cpu", torch.float32] == "torch.float32"
assert seen["cpu", torch.bfloat16] == seen["meta", torch.bfloat16] == "torch.bfloat16"
assert "Expected inputs of BF16 type" in seen["meta", torch.float32]
P
