"""A run from Python: planned, trained, judged and drawn. Cell by cell it is a notebook.

    python examples/python/adapt.py examples/demo/recipe.yaml

The run goes on where it stopped when the script is started again.
"""

# %% The recipe, with a field set as on the command line
from __future__ import annotations

import sys

import plotly.graph_objects as go

import sapwood

path, *changes = sys.argv[1:] or ["examples/demo/recipe.yaml"]
opened = sapwood.open_run(path, changes)

# %% What it will train on; what cannot work is refused here, with its line
print(sapwood.plan(opened))

# %% Prepare, train, evaluate, report
run = sapwood.run(opened)

# %% Gain and retention on held-out text, in bits per byte: a change above zero is better
for change in run.changes:
    moved = f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"
    print(f"{change.aim:9} {change.name:20} {moved}  {change.verdict}")

# %% Why the mixture is what it is
for decided in run.ledger.rounds:
    print(decided.stage, *decided.reasons, sep="\n  ")

# %% The loss over the tokens
steps = run.metrics()
figure = go.Figure(go.Scatter(x=steps["tokens"].to_pylist(), y=steps["loss"].to_pylist()))
figure.update_layout(title=run.recipe.name, xaxis_title="tokens", yaxis_title="loss, nats per token")
figure.write_html(run.directory.root / "loss.html")
print(f"The adapted model is in {run.model}, the picture in {run.directory.root / 'loss.html'}")
