"""What a model predicts well before and after, and what the difference means.

    held-out texts ── held-out evaluator ──> Evaluation, before and after ── judge ──> Change with its verdict
    suites ── RunSuites ──> TaskResult, before and after ── compare ──> Comparison

- `held_out`, `evaluator`, `bits`: the same held-out texts for every model, in bits per byte. `result`: every document
  kept.
- `in_loop`: in-loop evaluation. `run_suites`, `run_comparison`, `comparison`: benchmarks of a run.
- `gate`: what was gained, kept and lost, by margins declared beforehand. `overlap`: benchmark items in the training
  data.

A change of -0.004 to +0.001 bits per byte, above zero is better, against a margin of 0.01:

>>> from sapwood.statistics.change import decide
>>> decide("retention", (-0.004, 0.001), margin=0.01)
'kept'
>>> decide("gain", (-0.004, 0.001), margin=0.0)
'no gain shown'
"""
