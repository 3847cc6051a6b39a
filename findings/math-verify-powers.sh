#!/usr/bin/env bash
# math-verify 0.9.0: a number with a power of ten, written as people write it, is read as one of its parts.
#
# Seen: outside of dollar signs, `6.02×10^23` is read as 6.02 and `6.02 × 10^23`, with spaces, as 10; `10^{23}` is read
# as 10 while `10^23` is 10**23; `1.5e3` is 1.5. So `6.02×10^23` is judged equal to `6.02`, and `1.5e3` not to `1500`.
# Inside of dollar signs the open interval (1,2) is judged equal to the set {1,2}, both ways round.
# What it means here: numbers are read by our own reader first; math-verify sees only what that cannot read.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'math-verify==0.9.0' 'latex2sympy2_extended==1.11.0' 'sympy==1.14.0'

"$work/env/bin/python" - <<'P'
from math_verify import parse, verify

pairs = [  # gold, answer, what is judged
    ("6.02×10^23", "6.02", True),
    ("6.02 × 10^23", "10", True),
    ("10^{23}", "10", True),
    ("10^23", "10", False),
    ("1.5e3", "1500", False),
    ("1.5e3", "1.5", True),
    ("$(1,2)$", r"$\{1,2\}$", True),
    ("$[1,2]$", r"$\{1,2\}$", False),
]
for gold, answer, expected in pairs:
    judged = verify(parse(gold), parse(answer))
    print(f"{gold!r} {parse(gold)[:1]} and {answer!r} {parse(answer)[:1]}: {judged}")
    assert judged is expected, (gold, answer)
assert verify(parse(r"$\{1,2\}$"), parse("$(1,2)$"))
P
