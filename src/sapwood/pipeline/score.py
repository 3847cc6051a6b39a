"""The documents' perplexity, on as many GPUs as there are."""

from __future__ import annotations

import os
from pathlib import Path

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError
from sapwood.pipeline.encoder import scoring_model
from sapwood.pipeline.handle import Run, open_run
from sapwood.recipe import Recipe
from sapwood.runs.lock import hold


def score(recipe: Run | Recipe | str | Path) -> list[str]:
    """Scores documents by how likely a model finds them; under torchrun every process scores its part.

    Comes between `prepare` with `unscored` and `prepare`. What was scored before is not scored again. Returns the
    names of the sources that have scores. Raises SapwoodError where the recipe asks for none, where sources are not
    prepared so far, and where another command writes into the run.
    """
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.corpus.perplexity import Scorer, score_part
    from sapwood.corpus.prepare import verdicts
    from sapwood.corpus.store import TRIM
    from sapwood.recipe.check import scored

    run = open_run(recipe)
    loaded, directory = run.recipe, run.directory
    perplexity = loaded.corpus.perplexity
    if perplexity is None:
        raise SapwoodError("The recipe scores no documents. Write `perplexity: {}` under `corpus:`.")
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    scorer = Scorer(*scoring_model(loaded, resolve(loaded.model, default_cache())), perplexity.tokens)
    names = list(scored(loaded))
    # Processes share the directory without knowing of each other: each holds it as its own rank.
    with hold(directory.root, rank=rank), full_disk_explained(directory.root):
        for name in names:
            score_part(store_of(directory, name), scorer, verdicts(loaded, name, before=TRIM), rank, ranks)
    return names
