"""What the user writes: one YAML file, validated before anything costs money.

    recipe.yaml ── overrides ──> load_recipe ──> Recipe ──> dump_recipe ──> runs/NAME/recipe.yaml

- `Recipe`, `Stage`, `Training`, `Evaluation` (`schema`); sources and corpus steps (`data`); shares, order and
  controllers (`mixture`). Kinds of fields such as tokens and shares are in `fields`, quantities with units in
  `units`.
- `Suite` (`suite`) and `Task` (`task`): benchmarks. `Synthesis` (`synthesis`): a synthesis job. `ModelServer`
  (`server`).
- `read_document` (`document`): YAML to a checked model, every mistake at once with its line. `check`: what no single
  field can tell, and questions about a recipe.

>>> from sapwood.recipe.schema import Stage
>>> stage = Stage(name="adaptation", tokens="92.5B", mixture={"zh": 2, "en": 8})
>>> stage.tokens
92500000000
"""

from sapwood.recipe.document import RecipeError
from sapwood.recipe.load import differences, dump_recipe, load_recipe, load_synthesis
from sapwood.recipe.schema import Recipe
from sapwood.recipe.synthesis import Synthesis

__all__ = ["Recipe", "RecipeError", "Synthesis", "differences", "dump_recipe", "load_recipe", "load_synthesis"]
