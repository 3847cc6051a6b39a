#!/usr/bin/env bash
# PEFT 0.21.2 with transformers 5.23.0: `target_modules="all-linear"` also adapts routers and stacked experts.
#
# Seen: in a small Qwen3-MoE neither the router (`mlp.gate`) nor the experts (`mlp.experts`) are linear modules: they hold
# bare parameters. "all-linear" puts LoRA beside both all the same, and says so nowhere but in two warnings about
# patterns "that were ignored", which are PEFT's own and not the caller's. So a run that means to leave routing as it is
# trains the router, and merging changes it. Of the same model without experts (Qwen3) it adapts linear modules alone.
# What it means here: adapters stand beside linear modules alone, and stacked experts are refused with what to write.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'transformers==5.23.0' 'peft==0.21.2'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import re
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

SIZES = dict(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, head_dim=16,
)
models = {
    "dense": Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "experts": Qwen3MoeForCausalLM(
        Qwen3MoeConfig(**SIZES, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2)
    ),
}
for name, model in models.items():
    linear = {path for path, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    beside = {
        re.sub(r"^base_model\.model\.|(\.base_layer)?\.lora_A\.default\.weight$", "", path)
        for path, _ in adapted.named_parameters()
        if ".lora_A." in path
    }
    other = sorted(beside - linear)
    ignored = [str(one.message) for one in told if "did not match any targeted module and were ignored" in str(one.message)]
    print(f"{name}: beside no linear module: {other}; warnings about ignored patterns: {len(ignored)}")
    assert other == ([] if name == "dense" else ["model.layers.0.mlp.experts", "model.layers.0.mlp.gate"])
    assert len(ignored) == (0 if name == "dense" else 2)
P
