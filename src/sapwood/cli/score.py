"""`sapwood score`: the documents' perplexity, on as many GPUs as there are."""

from __future__ import annotations

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.pipeline.prepare import score as score_documents
from sapwood.progress import console


def score(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Score documents by how likely a model finds them, with one process or, under torchrun, with many.

    Comes between `sapwood prepare --unscored` and `sapwood prepare`. What was scored before is not scored again.
    """
    score_documents(open_run(recipe, overrides, runs))
    console.print("`sapwood prepare` goes on from here, when all processes are done.")
