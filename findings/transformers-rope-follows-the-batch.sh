#!/usr/bin/env bash
# transformers 5.23.0: with `dynamic` or `longrope` rotary positions, a short row of a batch depends on how long another is.
#
# Seen, on a CPU: the logits of a row of 8 tokens, alone and padded beside a row of 40, where 16 is the length from which
# the scaling changes. With default rotary positions they agree within 1e-6. With `rope_type: dynamic` (Llama) and
# `longrope` (Phi-3) they differ by more than 1e-4 of logits below 1, in silence and in eval mode: the frequencies are
# chosen once for the whole batch, by the largest position in it. Beside rows of up to 16 tokens nothing changes. So the
# likelihood of a short text is another one in a batch with a long text, attention mask or not.
# What it means here: padded batches of such models do not mix texts on both sides of that length.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'transformers==5.23.0'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

SIZES = dict(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
BASE = {"rope_theta": 10000.0}
models = {
    "default": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, max_position_embeddings=16)),
    "dynamic": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, max_position_embeddings=16, rope_parameters={**BASE, "rope_type": "dynamic", "factor": 4.0})
    ),
    "longrope": lambda: Phi3ForCausalLM(
        Phi3Config(
            **SIZES, max_position_embeddings=64, original_max_position_embeddings=16,
            rope_parameters={
                **BASE, "rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [4.0] * 8, "factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        )
    ),
}


def beside(model, row, length):
    """The logits of a row, padded beside another of some length."""
    rows, mask = torch.zeros(2, length, dtype=torch.long), torch.zeros(2, length, dtype=torch.long)
    rows[0, : row.shape[1]], rows[1] = row, torch.arange(length) % 60 + 3
    mask[0, : row.shape[1]], mask[1] = 1, 1
    return model(rows, attention_mask=mask).logits[0, : row.shape[1]]


row = torch.arange(3, 11)[None]
with torch.no_grad():
    for name, build in models.items():
        torch.manual_seed(0)
        model = build().eval()
        alone = model(row).logits[0]
        short, long = ((beside(model, row, length) - alone).abs().max().item() for length in (16, 40))
        print(f"{name}: beside 16 tokens {short:.1e}, beside 40 tokens {long:.1e}, logits up to {alone.abs().max():.2f}")
        assert short < 1e-6, name
        assert (long < 1e-6) if name == "default" else (long > 1e-4), name
P
