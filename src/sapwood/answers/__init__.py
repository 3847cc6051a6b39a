"""Finding an answer in a text, and comparing two answers: one reader for suites and for synthesis."""

VERSION = 2
"""Of the reader: results that another one judged are not taken for its own."""
