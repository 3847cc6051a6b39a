"""All that is observed of a model before it is trained, in one record."""

from __future__ import annotations

import re
from pathlib import Path

from transformers import PreTrainedModel

from sapwood.backbone.causal import refuse_sight_ahead
from sapwood.backbone.load import build_skeleton, load_config
from sapwood.backbone.resolve import default_cache, resolve
from sapwood.backbone.small import parts_of
from sapwood.backbone.traits import ModelTraits, Way
from sapwood.recipe import Recipe
from sapwood.recipe.schema import Training
from sapwood.training.attention import isolation
from sapwood.training.layers import decoder_layers
from sapwood.training.loss import chunks_agree

EXPERTS = re.compile(r"^(?!.*(shared|per_tok)).*experts$")
"""What configurations call the number of experts."""


def probe(directory: Path, settings: Training) -> ModelTraits:
    """What was observed of the kind of model in a directory, of which the configuration is enough.

    Raises SapwoodError where such a model cannot be trained with these settings.
    """
    config = load_config(directory)
    skeleton = build_skeleton(config)
    refuse_sight_ahead(config, type(skeleton).__name__)
    decoder_layers(skeleton)  # which refuses what no layers can be found in
    found = isolation(config)
    found.check(type(skeleton).__name__, isolate_documents=settings.isolate_documents)
    return ModelTraits(
        attention=skeleton.config.get_text_config()._attn_implementation,
        isolation=next(iter(found.ways), None),
        in_other_trainers=found.in_other_trainers,
        chunked_loss=chunks_agree(config),
        unseen=found.why if found.ways else None,
        experts=experts_of(skeleton),
    )


def isolation_elsewhere(recipe: Recipe) -> Way | None:
    """How a trainer of another hand must keep the packed documents of a recipe apart.

    None where the recipe does not isolate them, and where nothing does. Raises SapwoodError where the model is not on
    this machine.
    """
    if not recipe.training.isolate_documents:
        return None
    return probe(resolve(recipe.model, default_cache(), weights=False), recipe.training).in_other_trainers


def experts_of(model: PreTrainedModel) -> int:
    """How many experts the layers of a model choose from; 0 where they have none.

    Some configurations state a number that no layer follows, so a router is looked for: a matrix with a row for each.
    """
    stated = {
        value
        for part in parts_of(model.config)
        for name, value in vars(part).items()
        if EXPERTS.search(name) and isinstance(value, int) and value > 1
    }
    rows = {parameter.shape[0] for parameter in model.parameters() if parameter.ndim == 2}
    return max(stated & rows, default=0)
