"""What the user writes: one YAML file, validated before anything costs money."""

from sapwood.recipe.document import RecipeError
from sapwood.recipe.load import differences, dump_recipe, load_recipe, load_synthesis
from sapwood.recipe.schema import Recipe
from sapwood.recipe.synthesis import Synthesis

__all__ = ["Recipe", "RecipeError", "Synthesis", "differences", "dump_recipe", "load_recipe", "load_synthesis"]
