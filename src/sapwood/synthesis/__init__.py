"""Documents in, verified question-answer documents out.

    pages ── choose_seeds ──> Seed ── Prompt ──> model ── read_item ──> Item ── verify/ ──> assemble ──> document

- `run`: `write_items`, chunk by chunk; begin here. `job`: a job on disk, and its stages in order. `directory`: its
  files. `account`: every attempt, and their counts. `labelled`: what people said of items, and which thresholds follow.
- `prompt`: prompts are YAML files in `prompts/LANGUAGE/`. `form`: from a completion to an `Item` (`item`).
- `verify/`: stages, each for one kind of fault. `faults`, `references`: checks by rules.
- `programs`, `problems`, `code`: items from programs, and programs with tests. `corrupt`: items made wrong, for
  studies.

Tests that pass a mutant of the solution do not test much:

>>> from sapwood.synthesis.code import mutants
>>> mutants("def most(a, b):\\n    return a if a > b else b", count=1, seed="0")
['def most(a, b):\\n    return None']
"""
