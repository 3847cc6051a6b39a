"""A run's directory: where its files are, who may write, and which steps are done.

    runs/NAME/ ── hold ──> one writer ── begin ──> files of a step ── Manifest.write ──> finished

- `RunDirectory` (`directory`): every path of a run. `hold` (`lock`): one writer at a time.
- `Manifest` (`manifest`): inputs, settings and counts of a finished step. A step with the same fingerprint is not run
  again.
- `StepMetrics` (`metrics`): one line of `metrics.jsonl`.

>>> from pathlib import Path
>>> from sapwood.runs.directory import RunDirectory
>>> RunDirectory(Path("runs/demo")).ledger.as_posix()
'runs/demo/ledger.jsonl'
>>> from sapwood.runs.manifest import Manifest
>>> done = Manifest(step="quality", inputs={"documents": "8c1f"}, settings={"rules": ["c4"]}, counts={"dropped": 7})
>>> done.fingerprint == Manifest(step="quality", inputs={"documents": "8c1f"}, settings={"rules": ["c4"]}).fingerprint
True
"""
