"""What the user writes: one YAML file, validated before anything costs money."""

from sapwood.recipe.load import RecipeError, differences, dump_recipe, load_recipe
from sapwood.recipe.schema import Recipe

__all__ = ["Recipe", "RecipeError", "differences", "dump_recipe", "load_recipe"]
