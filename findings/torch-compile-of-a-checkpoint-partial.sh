#!/usr/bin/env bash
# torch 2.13.0: a layer whose forward is a `functools.partial` of `checkpoint` compiles to nothing, without a word.
#
# Seen, on a CPU, counting the graphs that reach the backend: `layer.forward = partial(checkpoint, layer.forward,
# use_reentrant=False)` and then `layer.compile()` gives 0 graphs; the layer runs, its results are right, it is as slow
# as before. The same call written as a function (`def forward(x): return checkpoint(inner, x, ...)`) gives 1 graph, as
# the plain layer does. There is no Python frame of one's own between the module's call and the library's, and those of
# the library are skipped. Only `fullgraph=True` says so: "found no compiled frames".
# What it means here: activation checkpointing puts a plain function around each layer, and a test counts graphs.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6'

"$work/env/bin/python" - 2> "$work/warnings" <<'P'
import functools

import torch
from torch.utils.checkpoint import checkpoint


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(8, 16), torch.nn.Linear(16, 8)

    def forward(self, x):
        return self.down(torch.nn.functional.gelu(self.up(x)))


def plain(layer):
    return layer.forward


def partial(layer):
    return functools.partial(checkpoint, layer.forward, use_reentrant=False)


def function(layer):
    inner = layer.forward

    def forward(x):
        return checkpoint(inner, x, use_reentrant=False)

    return forward


seen = {}
for way in (plain, partial, function):
    torch._dynamo.reset()
    torch.manual_seed(0)
    graphs = []
    layer, x = Layer(), torch.ones(2, 8, requires_grad=True)
    layer.forward = way(layer)
    layer.compile(backend=lambda graph, _: graphs.append(graph) or graph.forward)
    layer(x).sum().backward()
    seen[way.__name__] = (len(graphs), x.grad.sum().item())
    print(f"{way.__name__}: {len(graphs)} graphs")
assert {name: graphs for name, (graphs, _) in seen.items()} == {"plain": 1, "partial": 0, "function": 1}
assert len({gradient for _, gradient in seen.values()}) == 1, "the gradients agree"
P
