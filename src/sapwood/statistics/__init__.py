"""Changes with their intervals: paired, clustered, over seeds, against chance. Knows no benchmark and no model.

    ItemScore ── by_task ──> TaskScores ── pair ──> Pairs ── change ──> Estimate ──> interval, p-value

- `TaskScores` (`items`): one score for every item. `Pairs` (`paired`): two models on the same items.
- `Estimate` (`estimate`): a value with its standard error and degrees of freedom; ratios and means, with clusters.
- `Metric` and `Change` (`change`): what is measured, and how much better a model is by it, in one sign. Verdicts.
- `Level` (`level`): one model alone. `across_seeds` (`seeds`): several training seeds. `Forgetting` (`forgetting`):
  right before and wrong now. `better_than_guessing` (`chance`), `Design` (`power`), `bootstrap` and `sign_flip`
  (`resampling`).

>>> from sapwood.statistics.items import ItemScore, by_task
>>> from sapwood.statistics.paired import change, pair
>>> right = {"base": (0, 0, 1, 0, 1, 0), "adapted": (1, 0, 1, 1, 1, 0)}
>>> scores = by_task(ItemScore(m, "exam", f"q{n}", float(s)) for m, row in right.items() for n, s in enumerate(row))
>>> found = change(pair(scores["exam", "base"], scores["exam", "adapted"]))
>>> low, high = found.interval(0.95)
>>> f"{found.value:+.3f} [{low:+.3f}, {high:+.3f}]"
'+0.333 [-0.276, +0.943]'
"""
