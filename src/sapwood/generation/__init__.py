"""Prompts in, completions out, from any OpenAI-compatible server. Cached answers are reused.

    Request ──> Cache ── not there ──> Connection ──> server
                  └───────── Completion <──────────────┘        or a batch file, answered elsewhere

- `Request`, `Completion`, `Cache` (`cache`): what was asked and answered. `complete` (`client`): many requests at
  once.
- `Connection` (`connection`): patience, retries, limits (`Bucket`). `Secret` (`secret`): a key, never
  shown.
- `Asker` (`asker`): all requests of one job; `write_batch`, `read_batch`: OpenAI batch files.
- `embed` (`embed`): texts to vectors, cached in `Vectors`.

A limit of 60 requests a minute is kept second by second; three at once leave a debt of two:

>>> from sapwood.generation.connection import Bucket
>>> bucket = Bucket(per_minute=60, now=0.0)
>>> bucket.take(3, now=0.0)
>>> bucket.wait(1, now=0.0)
3.0
"""
