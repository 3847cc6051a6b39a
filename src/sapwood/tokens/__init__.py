"""Documents in, token shards out; packed sequence *i* of a source as a pure function.

In the order to read the files in: `encode` turns texts into token ids; `shard` does so for the prepared documents of a
source and reads the ids back; `sequence` cuts their endless repetition into sequences.
"""
