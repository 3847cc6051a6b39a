#!/usr/bin/env bash
# lm-eval 0.4.13: `word_perplexity` of Chinese text raises OverflowError, and the whole evaluation is lost with it.
#
# Seen: a task of `loglikelihood_rolling` with the three customary metrics. A word is what stands between spaces, so a
# Chinese paragraph is one word, and its perplexity is exp(all of its nats): beyond 709 nats that is no float. An English
# text of 440 characters gives its figures; a Chinese one of 60 characters, under the same untrained model (about 950
# nats), ends in "OverflowError: math range error" after the model has been run, and no metric of any task is returned.
# A trained model has about 2 nats a character: some 350 characters are enough.
# What it means here: texts are measured in bits per byte.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
    'torch==2.13.0' 'transformers==5.23.0' 'accelerate' 'lm-eval==0.4.13'

cat > "$work/seen.py" <<'P'
import json
import random
import sys
from pathlib import Path

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

work = Path(sys.argv[1])
texts = {
    "english": "the cat sat on the mat " * 20,
    "chinese": "".join(random.Random(0).choices("天地人日月山水火木金土大小上下左右", k=60)),
}
task = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: byte_perplexity}}, {{metric: bits_per_byte}}]
"""
alphabet = {letter: place for place, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
bytes_only = Tokenizer(models.BPE(alphabet, []))
bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bytes_only.decoder = decoders.ByteLevel()
bytes_only.add_special_tokens(["</s>"])
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_only, eos_token="</s>", pad_token="</s>")
torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, eos_token_id=256, bos_token_id=256,
    )
).eval()
seen = {}
for name, text in texts.items():
    file = work / f"{name}.jsonl"
    file.write_text(json.dumps({"text": text}) + "\n")
    (work / f"{name}.yaml").write_text(task.format(name=name, file=file))
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu")
    manager = TaskManager(include_path=str(work), include_defaults=False)
    try:
        results = lm_eval.simple_evaluate(model=harness, tasks=[name], task_manager=manager, bootstrap_iters=0)
        seen[name] = sorted(key for key in results["results"][name] if key.endswith("_perplexity,none"))
    except OverflowError as error:
        seen[name] = f"OverflowError: {error}"
    print(f"{name}, {len(text)} characters: {seen[name]}")
assert seen["english"] == ["byte_perplexity,none", "word_perplexity,none"], seen
assert seen["chinese"] == "OverflowError: math range error", seen
P
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/env/bin/python" "$work/seen.py" "$work" 2> "$work/warnings"
