#!/usr/bin/env bash
# transformers 5.23.0: in Doge, what follows a text changes the logits of its beginning, wherever a token stands twice.
#
# Seen, on a CPU: beyond `keep_window_size` keys each query keeps those that a learned gate finds largest. The gate of the
# first layer is made of the token alone, without its place, so equal tokens have equal gates, and the top-k takes any of
# them: which one depends on how many keys there are. A text of 32 tokens without a repetition, with gates that are not
# zero, has the same logits for its first 12, 16 and 24 tokens, alone or in the whole, within 1e-5. With five tokens that
# repeat they differ by more than 1e-2, and with the gates as they are initialised (zeros, so all are equal) by more than
# 0.1 in either. Up to the window (8 here, 2,048 by default) all agree. So beyond it a token's likelihood depends on the
# text after it, and on padding, in a model that reads from left to right.
# What it means here: docs/models.md calls such scores `unsteady`.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'transformers==5.23.0'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import torch
from transformers import DogeConfig, DogeForCausalLM

torch.manual_seed(0)
model = DogeForCausalLM(
    DogeConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, keep_window_size=8, max_position_embeddings=128, pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    )
).eval()
order = torch.Generator().manual_seed(1)
texts = {"distinct": torch.randperm(60, generator=order)[:32] + 3, "repeated": torch.randint(3, 8, (32,), generator=order)}


def changed(tokens, length):
    """How far what follows moves the logits of the first tokens."""
    alone = model(tokens[None, :length], use_cache=False).logits[0]
    return (alone - model(tokens[None], use_cache=False).logits[0, :length]).abs().max().item()


seen = {}
with torch.no_grad():
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=0.15)
    for gate in (0.0, 0.5):
        model.model.layers[0].self_attn.A.copy_(torch.tensor([gate, -gate]))
        for name, tokens in texts.items():
            within = max(changed(tokens, length) for length in (6, 8))
            beyond = max(changed(tokens, length) for length in (12, 16, 24))
            seen[gate, name] = beyond
            print(f"gates of {gate}, tokens {name}: up to the window {within:.0e}, beyond it {beyond:.0e}")
            assert within < 1e-5
assert seen[0.5, "distinct"] < 1e-5
assert seen[0.5, "repeated"] > 1e-2
assert min(seen[0.0, "distinct"], seen[0.0, "repeated"]) > 0.1
P
