"""`sapwood score`: the documents' perplexity, on as many GPUs as there are."""

from __future__ import annotations

import os

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption
from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError
from sapwood.mixture.decided import open_run
from sapwood.pipeline.encoder import scoring_model
from sapwood.progress import console
from sapwood.runs.lock import hold


def score(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Score documents by how likely a model finds them, with one process or, under torchrun, with many.

    Comes between `sapwood prepare --unscored` and `sapwood prepare`. What was scored before is not scored again.
    """
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.corpus.perplexity import Scorer, score_part
    from sapwood.corpus.prepare import verdicts
    from sapwood.corpus.store import TRIM
    from sapwood.recipe.check import scored

    loaded, run = open_run(recipe, overrides, runs)
    perplexity = loaded.corpus.perplexity
    if perplexity is None:
        raise SapwoodError("The recipe scores no documents. Write `perplexity: {}` under `corpus:`.")
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    scorer = Scorer(*scoring_model(loaded, resolve(loaded.model, default_cache())), perplexity.tokens)
    with hold(run.root, rank=rank), full_disk_explained(run.root):
        for name in scored(loaded):
            score_part(store_of(run, name), scorer, verdicts(loaded, name, before=TRIM), rank, ranks)
    if rank == 0:
        console.print("`sapwood prepare` goes on from here, when all processes are done.")
