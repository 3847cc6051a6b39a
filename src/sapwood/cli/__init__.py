"""The command line: one verb a file. Arguments in, a call of `pipeline`, a table out.

    sapwood plan recipe.yaml training.learning_rate.peak=2e-5
       └── main: the app ──> plan.py: the verb ──> sapwood.pipeline.plan ──> output: a table, or JSON with --json

- `main`: all verbs and their groups. `common`: arguments that verbs share. `output`: tables for terminals, logs and
  `--json`.
- `chart`, `cost`, `model`: what several verbs print. `templates/`: scripts of `sapwood launch`.
"""
