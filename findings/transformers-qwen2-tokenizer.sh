#!/usr/bin/env bash
# transformers 5.23.0: AutoTokenizer ignores how a tokenizer.json cuts text, where config.json says qwen2.
#
# Seen: a directory with a byte-level BPE that was trained and saved as PreTrainedTokenizerFast gives the ids of its
# tokenizer.json (5 for "in 2024 and 1234567 boats") with `model_type` llama, gemma, gpt2, olmo2 or qwen3. With qwen2
# and qwen3_5, and the same tokenizer_config.json with its `tokenizer_class`, AutoTokenizer takes Qwen's own class,
# which keeps the vocabulary and the merges and puts Qwen's splitting in place of the file's: 16 ids for that line,
# every digit by itself. `tokenizers`, vLLM's and others' readers of the file give 5.
# What it means here: both are compared when a model is opened.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'transformers==5.23.0' 'tokenizers==0.23.3'

"$work/env/bin/python" - "$work" 2> "$work/warnings" <<'P'
import json
import pathlib
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

directory = pathlib.Path(sys.argv[1]) / "model"
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=360,
    special_tokens=["<|endoftext|>"],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
)
line = "in 2024 and 1234567 boats"
tokenizer.train_from_iterator([f"{line} " * 5], trainer=trainer)
PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(directory)

own = Tokenizer.from_file(str(directory / "tokenizer.json")).encode(line).ids
print("tokenizer.json:", len(own), "ids; tokenizer_class:", json.loads((directory / "tokenizer_config.json").read_text())["tokenizer_class"])
for kind, same in {"llama": True, "gemma": True, "gpt2": True, "olmo2": True, "qwen3": True, "qwen2": False, "qwen3_5": False}.items():
    (directory / "config.json").write_text(json.dumps({"model_type": kind}))
    loaded = AutoTokenizer.from_pretrained(directory)
    ids = loaded(line, add_special_tokens=False).input_ids
    print(f"{kind}: {type(loaded).__name__}, {len(ids)} ids")
    assert (ids == own) is same
    assert same or len(ids) == 16
P
