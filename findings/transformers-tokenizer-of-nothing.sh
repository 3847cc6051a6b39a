#!/usr/bin/env bash
# transformers 5.23.0: a directory without any tokenizer gives a tokenizer, and text becomes no tokens at all.
#
# Seen: AutoTokenizer.from_pretrained on a directory with nothing but a config.json. For `model_type` qwen2 and gpt2 there
# is neither an error nor a warning: the tokenizer has 1 entry, and "Hello world" becomes []. For gemma it has 5 entries,
# and the whole text becomes one token. For llama the same call raises. So whoever copies weights and configuration
# without the tokenizer's files trains on nothing, and a check that the tokenizer loads does not help.
# What it means here: a model's directory without the files of a tokenizer is refused, with their names.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'transformers==5.23.0' 2> "$work/pip"

"$work/env/bin/python" - "$work" 2> "$work/warnings" <<'P'
import json
import pathlib
import sys

from transformers import AutoTokenizer

seen = {}
for kind in ("qwen2", "gpt2", "gemma", "llama"):
    directory = pathlib.Path(sys.argv[1], kind)
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 64}))
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        ids = tokenizer("Hello world", add_special_tokens=False)["input_ids"]
        seen[kind] = f"{len(tokenizer)} entries, {len(ids)} tokens, {len(set(ids))} different"
    except Exception as error:
        seen[kind] = type(error).__name__
    print(kind, seen[kind], sep=": ")
assert seen["qwen2"] == seen["gpt2"] == "1 entries, 0 tokens, 0 different"
assert seen["gemma"].startswith("5 entries") and seen["gemma"].endswith("1 different")
assert "entries" not in seen["llama"]
P
