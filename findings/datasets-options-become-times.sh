#!/usr/bin/env bash
# datasets 5.2.0: the options of a multiple-choice question come out of JSON as moments in time.
#
# Seen: load_dataset("json") gives `List(Value('timestamp[s]'))` for options that are strings in the file and all look
# like dates (["1914-07-28", "1939-09-01", "1918-11-11"]), and Python's datetime objects in every row; one option that
# is no date ("never") keeps them strings. Dataset.from_list keeps strings, so whoever tests with that does not see it.
# lm-evaluation-harness loads local files this way, and joins options to a prompt as strings: TypeError.
# What it means here: the types of all columns are passed with the files.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'datasets==5.2.0' 'pyarrow==26.0.1'

HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$work/env/bin/python" - "$work" <<'P'
import datetime
import json
import pathlib
import sys

import datasets

work = pathlib.Path(sys.argv[1])
row = {"options": ["1914-07-28", "1939-09-01", "1918-11-11"], "others": ["1914-07-28", "never"]}
(work / "items.jsonl").write_text(json.dumps(row) + "\n")
loaded = datasets.load_dataset("json", data_files=str(work / "items.jsonl"), cache_dir=str(work / "cache"))["train"]
print(loaded.features)
print(loaded[0]["options"])
assert loaded.features["options"].feature.dtype == "timestamp[s]"
assert isinstance(loaded[0]["options"][0], datetime.datetime)
assert loaded[0]["others"] == row["others"]
assert datasets.Dataset.from_list([row])[0]["options"] == row["options"]
P
