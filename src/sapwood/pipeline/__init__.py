"""What the verbs do, as functions: they take and return records, and print nothing. `import sapwood` offers them.

    plan ──> prepare ──> train ──> evaluate ──> write_report          run: all of them, in order

- `run`: begin here. The other verbs: `plan`, `prepare`, `train`, `evaluate`, `report`; `compare`, `merge`, `export`,
  `stream`, `ledger` (account, audit, replay), `checkpoints`, `synthesize`, `topics`, `solve`, `score`, `base_model`.
- `Run` (`handle`): a run as an object. `writing`: one writer. `cost`: memory, operations and hours of a plan.
- `preflight`: everything that will stop a run, as a list of `Problem`s, before anything is spent; its parts are
  `checks` (this machine), `sources`, `corpus`, `model`, `job`.

>>> from sapwood.pipeline.checks import Problem, listed
>>> print(*listed([Problem(("stages", "0", "mixture"), "there is no group 'fr'")], None))
stages.0.mixture: there is no group 'fr'
"""
