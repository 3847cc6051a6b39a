#!/usr/bin/env bash
# transformers 5.23.0: packed documents see each other in hybrid models, in silence or with an error, by how one asks.
#
# Seen, on a CPU: positions that restart (`position_ids`, as DataCollatorWithFlattening makes them, without a mask and
# without a cache) keep two packed documents apart in Llama, to the bit. In Granite 4 hybrid, Bamba, Falcon-H1, LFM2 and
# Qwen3-Next they do so for the attention layers alone: the logits of the second document follow the first one, and
# nothing is said. With `seq_idx` beside them the same models refuse: "causal_conv1d_fn can't keep packed sequences
# apart without causal_conv1d". So it is known where the first way goes wrong, and said only the second way.
# What it means here: whether documents are kept apart is measured on every model before it is trained.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'transformers==5.23.0'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

common = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
)
mamba = dict(mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_chunk_size=8)
families = {
    "llama": {},
    "granitemoehybrid": dict(
        **mamba, layer_types=["mamba", "attention"], num_local_experts=0, shared_intermediate_size=48,
        position_embedding_type="rope",
    ),
    "bamba": dict(**mamba, attn_layer_indices=[1]),
    "falcon_h1": dict(**mamba, mamba_d_ssm=64),
    "lfm2": dict(layer_types=["conv", "full_attention"]),
    "qwen3_next": dict(
        head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16
    ),
}
generator = torch.Generator().manual_seed(0)
first, other, second = (torch.randint(2, 90, (length,), generator=generator) for length in (10, 10, 14))
positions = torch.cat([torch.arange(10), torch.arange(14)])[None]
numbers = torch.cat([torch.zeros(10), torch.ones(14)])[None].int()
for name, more in families.items():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[name](**common, **more, pad_token_id=None)).eval()
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.15)

    def logits(before, **inputs):
        packed = torch.cat([before, second])[None]
        with torch.no_grad():
            return model(input_ids=packed, position_ids=positions, use_cache=False, **inputs).logits[0, 10:]

    apart = (logits(first) - logits(other)).abs().max().item()
    try:
        logits(first, seq_idx=numbers)
        told = "accepted"
    except ValueError as error:
        told = str(error).split(". ")[0]
    print(f"{name}: the second document's logits differ by {apart:.3f} with the first one; seq_idx: {told}")
    assert (apart == 0) is (name == "llama")
    assert ("can't keep packed sequences apart" in told) is (name != "llama")
P
