"""Benchmarks: tasks, suites, prompts, evaluators, results of every item.

    task file ── load_task_items ──> TaskItem ── put_questions ──> Question ── Evaluator ──> Answers
                                                                                               │
                          items.jsonl <── TaskResult <── judge_choice, judge_writing ──────────┘

- `run_suite` (`suite`): begin here. Schemas of suites and tasks are in `sapwood.recipe`; those that ship, in
  `suites/`, `tasks/`.
- `TaskItem` (`task_item`), read from files (`benchmark`) or made (`probes`). `Question` (`question`), in the words of
  its template.
- `TorchEvaluator` (`evaluator`): log-likelihoods and texts. `harness`:
  lm-evaluation-harness.
- `judge`: which answer, and whether it is right. `ItemResult` (`item_result`), scores (`task_scores`). `harness_log`:
  what lm-evaluation-harness logged of its own tasks.

A longer option is less likely as a text, and may be likelier for each character:

>>> from sapwood.suites.judge import preferred
>>> preferred(["oak", "an old oak"], {"cloze": [-4.0, -6.0]})
{'cloze': 0, 'cloze-characters': 1, 'cloze-bytes': 1}
"""
