"""Prompts in, completions out, from any OpenAI-compatible server. Cached answers are reused.

    Request ──> Cache ── not there ──> Connection ──> server
                  └───────── Completion <──────────────┘        or a batch file, answered elsewhere

- `Request`, `Completion`, `Cache` (`cache`): what was asked and answered. `complete` (`client`): many requests at
  once.
- `Connection` (`connection`): patience, retries, limits (`Bucket` in `bucket`). `Secret` (`secret`): a key, never
  shown.
- `write_batch`, `read_batch` (`batch`): OpenAI batch files. `Asker` (`asker`): all requests of one job.
- `embed` (`embed`): texts to vectors, cached in `Vectors` (`vectors`).

A limit of 60 requests a minute is kept second by second; three at once leave a debt of two:

>>> from sapwood.generation.bucket import Bucket
>>> bucket = Bucket(per_minute=60, now=0.0)
>>> bucket.take(3, now=0.0)
>>> bucket.wait(1, now=0.0)
3.0
"""
