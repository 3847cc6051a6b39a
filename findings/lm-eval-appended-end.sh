#!/usr/bin/env bash
# lm-eval 0.4.13: with a tokenizer that ends every text, an answer loses its first token and gains the end's.
#
# Seen: a context and a continuation are told apart by encoding both together, then the context alone, and cutting at the
# length of the latter. Where the tokenizer appends `</s>` (a template of its own, in tokenizer.json), the context alone is
# one token longer than it is inside of the whole. So for "... Answer:" and " yes" the tokens that are scored are those of
# "yes</s>": the space, here a token of its own, is gone, the end is scored with the answer, and the context ends with
# `</s>` before the question is answered. Nothing warns; without the template the tokens are those of " yes".
# What it means here: prompts are encoded without what a tokenizer appends, whatever it appends.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
    'torch==2.13.0' 'transformers==5.23.0' 'accelerate' 'lm-eval==0.4.13'

HF_HUB_OFFLINE=1 "$work/env/bin/python" - 2> "$work/warnings" <<'P'
import torch
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = "Is the cat on the mat? Answer:"


def tokenizer(ends):
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=270, special_tokens=["<s>", "</s>"], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    built.train_from_iterator(["the cat sat on the mat. yes no"], trainer)
    if ends:
        built.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=built, bos_token="<s>", eos_token="</s>", pad_token="</s>")


torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=128, bos_token_id=0, eos_token_id=1,
    )
).eval()
seen = {}
for ends in (False, True):
    harness = HFLM(pretrained=model, tokenizer=tokenizer(ends), batch_size=1, device="cpu")
    context, continuation = harness._encode_pair(CONTEXT, " yes")
    seen[ends] = (harness.tokenizer.decode(context), harness.tokenizer.decode(continuation))
    print("ends its texts:" if ends else "does not:", *map(repr, seen[ends]))
assert seen[False] == (CONTEXT, " yes"), seen
assert seen[True] == (f"<s>{CONTEXT}</s>", "yes</s>"), seen
P
