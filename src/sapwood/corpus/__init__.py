"""Documents in, annotated documents out.

The path of a document, in the order to read the files in:

`inputs` lists a source's files and fingerprints them; `rows` takes single rows out of them; `read` makes documents of
the rows; `holdout` and the other blocks that `prepare` lists annotate documents or set them aside; `write` puts the
documents into Parquet shards and what was set aside beside them, exactly once; `engine` runs such a list of blocks on
the cores at hand; `prepare` does all of it for one source and leaves a manifest.
"""
