#!/usr/bin/env bash
# torch 2.13.0: a function marked `assume_constant_result` may be called once in a compiled graph, and not twice.
#
# Seen, on a CPU: `@torch.compiler.assume_constant_result` on a function that returns a small table (a tensor). Compiled
# code that calls it once is right with every backend. With two calls the backend `eager` is right, and `aot_eager` and
# `inductor` raise BackendCompilerFailed, "AssertionError: source ConstantSource(source_name='table') already in
# seen_sources": both calls get the same source name. What passes a test with the eager backend fails in production.
# What it means here: a compiled update takes its tables of codes as arguments.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import torch


@torch.compiler.assume_constant_result
def table():
    return torch.arange(4.0)


def once(x):
    return x * table()


def twice(x):
    return x * table() + table()


seen = {}
for backend in ("eager", "aot_eager"):
    for function in (once, twice):
        torch._dynamo.reset()
        try:
            compiled = torch.compile(function, backend=backend)(torch.ones(4))
            seen[backend, function.__name__] = torch.equal(compiled, function(torch.ones(4)))
        except Exception as error:
            assert "already in seen_sources" in str(error), error
            seen[backend, function.__name__] = "already in seen_sources"
for (backend, name), outcome in seen.items():
    print(f"{backend}, {name}: {outcome}")
assert seen == {
    ("eager", "once"): True, ("eager", "twice"): True,
    ("aot_eager", "once"): True, ("aot_eager", "twice"): "already in seen_sources",
}
P
