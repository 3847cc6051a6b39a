"""Files in, annotated documents out.

    files ── ingest ──> documents/ ── annotate ──> language/ quality/ duplicates/ … ── select ──> selection/
               └──> quarantine.jsonl       (columns beside the documents, row by row)     train, holdout, dropped

- `prepare`: all steps in order; begin here. `store`: `SourceStore`, a source's documents and the columns of every
  step.
- `block`: documents, `Annotator`, a step that looks at one document at a time, and `filter_out` with its reasons.
  `annotate` runs it.
- Reading: `inputs`, `formats/`, `read`, `write`, `ingest`. Steps: `language`, `quality`, `signals`, `contamination`,
  `duplicates`, `topics/`, `perplexity`, `selection`. Where they run:
  `engines/`.

>>> from sapwood.corpus.normalise import normalise
>>> from sapwood.corpus.quality import judge
>>> judge(normalise("Buy now!\\r\\n" * 30), ["gopher-repetition"])
'gopher-repetition: repeated lines'
"""
