#!/usr/bin/env bash
# reasoning-gym 0.1.25: five of its generators give other items in another process, for the same seed.
#
# Seen (Python 3.11): of 105 generators that build with size=4, seed=7, five follow PYTHONHASHSEED, since they draw from
# sets of strings: isomorphic_strings, knight_swap, polynomial_multiplication, ransom_note, word_ladder. Python takes a
# new hash seed for every process, so that "the same seed" names other questions, and other answers, after a restart.
# With the hash seed fixed as well, all 105 repeat.
# What it means here: items are generated in a process with a fixed hash seed.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'reasoning-gym==0.1.25'

cat > "$work/items.py" <<'P'
import hashlib
import json
import sys

import reasoning_gym
from reasoning_gym.factory import DATASETS

digests = {}
for name in sorted(DATASETS):
    try:
        dataset = reasoning_gym.create_dataset(name, size=4, seed=7)
    except AssertionError:  # `composite` wants to be told of what
        continue
    items = [[dataset[index]["question"], dataset[index]["answer"]] for index in range(4)]
    digests[name] = hashlib.sha256(json.dumps(items, default=str).encode()).hexdigest()
with open(sys.argv[1], "w") as file:
    json.dump(digests, file)
P
for seed in 0 1 2; do PYTHONHASHSEED=$seed "$work/env/bin/python" "$work/items.py" "$work/$seed.json" > /dev/null; done
PYTHONHASHSEED=0 "$work/env/bin/python" "$work/items.py" "$work/again.json" > /dev/null

"$work/env/bin/python" - "$work" <<'P'
import json
import pathlib
import sys

work = pathlib.Path(sys.argv[1])
first, second, third, again = (json.loads((work / f"{name}.json").read_text()) for name in ("0", "1", "2", "again"))
differ = [name for name in first if len({first[name], second[name], third[name]}) > 1]
print(len(first), "generators; by the hash seed differ:", *differ)
print("with the hash seed fixed differ:", *[name for name in first if first[name] != again[name]] or ["none"])
assert differ == ["isomorphic_strings", "knight_swap", "polynomial_multiplication", "ransom_note", "word_ladder"]
assert first == again and len(first) == 105
P
