"""Sapwood: continual pre-training that proves what was gained and what was kept.

    import sapwood

    recipe = sapwood.load_recipe("recipe.yaml", {"training.learning_rate.peak": 2e-5})
    print(sapwood.plan(recipe))
    run = sapwood.run(recipe)       # prepares, trains, evaluates, reports; called again, it continues
    for change in run.changes:
        print(change.name, change.value, change.interval, change.verdict)

What each name does stands in docs/python.md. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sapwood.errors import SapwoodError as SapwoodError
    from sapwood.pipeline.base_model import expand as expand
    from sapwood.pipeline.base_model import extend_vocabulary as extend_vocabulary
    from sapwood.pipeline.base_model import measure_vocabulary as measure_vocabulary
    from sapwood.pipeline.checkpoints import export_checkpoint as export_checkpoint
    from sapwood.pipeline.checkpoints import list_checkpoints as list_checkpoints
    from sapwood.pipeline.compare import compare as compare
    from sapwood.pipeline.evaluate import evaluate as evaluate
    from sapwood.pipeline.export import export as export
    from sapwood.pipeline.handle import Run as Run
    from sapwood.pipeline.handle import load_recipe as load_recipe
    from sapwood.pipeline.handle import open_run as open_run
    from sapwood.pipeline.handle import stream as stream
    from sapwood.pipeline.ledger import account as account
    from sapwood.pipeline.ledger import audit as audit
    from sapwood.pipeline.ledger import replay as replay
    from sapwood.pipeline.merge import merge as merge
    from sapwood.pipeline.plan import plan as plan
    from sapwood.pipeline.prepare import prepare as prepare
    from sapwood.pipeline.prepare import score as score
    from sapwood.pipeline.report import compare_runs as compare_runs
    from sapwood.pipeline.report import write_report as write_report
    from sapwood.pipeline.run import run as run
    from sapwood.pipeline.solve import solve as solve
    from sapwood.pipeline.synthesize import calibrate_synthesis as calibrate_synthesis
    from sapwood.pipeline.synthesize import estimate_synthesis as estimate_synthesis
    from sapwood.pipeline.synthesize import sample_items as sample_items
    from sapwood.pipeline.synthesize import synthesize as synthesize
    from sapwood.pipeline.topics import apply_topics as apply_topics
    from sapwood.pipeline.topics import label_topics as label_topics
    from sapwood.pipeline.topics import train_topics as train_topics
    from sapwood.pipeline.train import train as train
    from sapwood.studies.plan import plan_study as plan_study
    from sapwood.studies.report import report_study as report_study
    from sapwood.studies.run import run_study as run_study

__version__ = "0.1.0"

PUBLIC = {
    "SapwoodError": "errors",
    "Run": "pipeline.handle",
    "load_recipe": "pipeline.handle",
    "open_run": "pipeline.handle",
    "plan": "pipeline.plan",
    "prepare": "pipeline.prepare",
    "train": "pipeline.train",
    "evaluate": "pipeline.evaluate",
    "write_report": "pipeline.report",
    "compare_runs": "pipeline.report",
    "run": "pipeline.run",
    "stream": "pipeline.handle",
    "label_topics": "pipeline.topics",
    "train_topics": "pipeline.topics",
    "apply_topics": "pipeline.topics",
    "merge": "pipeline.merge",
    "compare": "pipeline.compare",
    "export": "pipeline.export",
    "list_checkpoints": "pipeline.checkpoints",
    "export_checkpoint": "pipeline.checkpoints",
    "account": "pipeline.ledger",
    "audit": "pipeline.ledger",
    "replay": "pipeline.ledger",
    "solve": "pipeline.solve",
    "score": "pipeline.prepare",
    "synthesize": "pipeline.synthesize",
    "estimate_synthesis": "pipeline.synthesize",
    "sample_items": "pipeline.synthesize",
    "calibrate_synthesis": "pipeline.synthesize",
    "measure_vocabulary": "pipeline.base_model",
    "extend_vocabulary": "pipeline.base_model",
    "expand": "pipeline.base_model",
    "plan_study": "studies.plan",
    "run_study": "studies.run",
    "report_study": "studies.report",
}
"""Every public name, and the module that it is in."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'sapwood' has no attribute '{name}'")
    value = getattr(import_module(f"sapwood.{PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*PUBLIC, "__version__"]
