"""Model, optimizer, schedule, the loop, checkpoints, ranks.

    Stream ── Loader ──> StepInput ── Loop ──> Engine: forward, backward, step ──> metrics.jsonl, checkpoints/
                                       └── between rounds: losses ──> next_round

- `loop`: one run from its first token to its last; begin here. `engine`: one step. `model`, `parallel`: FSDP2.
- `loss`: cross-entropy in chunks. `attention`, `isolation`: packed documents do not see each other. `batch`,
  `loader`: tensors, read ahead.
- `schedule`: learning rates. `optimizer`, `lowbit`, `adapters`, `trainable`: what is trained, and how.
- `checkpoint`, `saving`, `resume`, `mirror`: states. `guard`, `skipped_steps`, `watchdog`: skipped steps, hangs.
  `trackers`.
- `footprint`, `dry_run`, `flops`: the memory and compute of a recipe, estimated beforehand. `average`, `adapted`:
  weights out.

The learning rate is a function of the position; halfway through a warm-up of 10M tokens:

>>> from sapwood.recipe.schema import LearningRate
>>> from sapwood.training.schedule import rate
>>> rate(LearningRate(peak=1e-5, warmup="10M", then="cosine"), tokens=5e6, total=100_000_000, batch_tokens=4_000_000)
5e-06
"""
