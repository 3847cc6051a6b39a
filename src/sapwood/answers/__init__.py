"""Finding an answer in a text, and comparing two answers: one reader for suites and for synthesis.

    text ── find, letters ──> answer ── read_answer ──> Reading (number and unit, formula, words) ── same_answers

- `find`: in a box, behind a mark, the last number; which option a text chooses.
- `Number` (`numbers`), `Unit` (`units`), `formulas` (by math-verify, in a process of its own: `grader`), `Reading`
  (`reading`).
- `equal`: whether two answers are the same, with one tolerance for all.

>>> from sapwood.answers.equal import same_answers
>>> same_answers("2 km", "2,000 m"), same_answers("三十二", "32"), same_answers("1/3", "0.3")
(True, True, False)
"""

VERSION = 2
"""Of the reader: results that another one judged are not taken for its own."""
