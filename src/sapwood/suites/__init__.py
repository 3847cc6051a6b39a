"""Benchmarks: tasks, suites, prompts, evaluators, results of every item.

    task file ── load_task_items ──> TaskItem ── put_questions ──> Question ── Evaluator ──> Answers
                                                                                               │
                          items.jsonl <── TaskResult <── judge_choice, judge_writing ──────────┘

- `run_suite` (`suite`): begin here. Schemas of suites and tasks are in `sapwood.recipe`; those that ship, in
  `suites/`, `tasks/`.
- `TaskItem` (`task_item`), read from files (`benchmark`) or made (`probes`). `Question` (`question`), words by
  `template`.
- `TorchEvaluator` (`evaluator`): log-likelihoods (`continuations`), texts (`generate`). `harness`:
  lm-evaluation-harness.
- `choice`, `writing`, `code`: which answer, and whether it is right. `ItemResult` (`item_result`), scores
  (`task_scores`).

A longer option is less likely as a text, and may be likelier for each character:

>>> from sapwood.suites.choice import preferred
>>> preferred(["oak", "an old oak"], {"cloze": [-4.0, -6.0]})
{'cloze': 0, 'cloze-characters': 1, 'cloze-bytes': 1}
"""
