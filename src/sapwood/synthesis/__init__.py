"""Documents in, verified question-answer documents out.

    pages ── choose_seeds ──> Seed ── Prompt ──> model ── read_item ──> Item ── verify/ ──> assemble ──> document

- `run`: `write_items`, chunk by chunk; begin here. `job`: a job on disk. `directory`: its files. `record`: every
  attempt.
- `prompt`: prompts are YAML files in `prompts/LANGUAGE/`. `form`: from a completion to an `Item` (`item`).
- `verify/`: stages, each for one kind of fault; their order is in `stages`. `faults`, `references`,
  `self_containedness`: checks by rules.
- `programs`, `problems`, `code`, `mutants`: items from programs, and programs with tests. `corrupt`: items made
  wrong, for studies.

Tests that pass a mutant of the solution do not test much:

>>> from sapwood.synthesis.mutants import mutants
>>> mutants("def most(a, b):\\n    return a if a > b else b", count=1, seed="0")
['def most(a, b):\\n    return None']
"""
