"""What of a model is trained, stage by stage."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from sapwood.errors import SapwoodError
from sapwood.recipe.schema import Recipe, Stage
from sapwood.training.adapters import backbone_name, is_adapter

EMBEDDINGS, ADAPTER = "embeddings", "adapter"
"""Words that stand for parameters: the input embeddings and the head, tied or not; all adapters."""


def select(model: PreTrainedModel, recipe: Recipe, stage: Stage) -> None:
    """Lets a stage train what the recipe says, and freezes the rest, in place; at any time, sharded or not.

    A frozen parameter gets no gradient, and the optimizer leaves it as it is. Every rank must call this. Raises
    SapwoodError for a pattern that means nothing in this model.
    """
    shards = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for module in shards:
        module.reshard()  # after a forward pass alone, the last parameters still stand there whole
    wanted = _names(model, recipe, stage)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in wanted)
    for module in shards:
        # FSDP settles the type of gradients when it first gathers parameters, from those that are trained then.
        module.unshard()
        module.reshard()


def ever_trainable(model: PreTrainedModel, recipe: Recipe) -> set[str]:
    """The names of all parameters that any stage trains: what has an optimizer state, and what a checkpoint holds."""
    return set().union(*(_names(model, recipe, stage) for stage in recipe.stages))


def _names(model: PreTrainedModel, recipe: Recipe, stage: Stage) -> set[str]:
    """The names of the parameters that a stage trains."""
    names = [name for name, _ in model.named_parameters()]
    adapter = {name for name in names if is_adapter(name)}
    patterns = recipe.training.trainable if stage.trainable is None else stage.trainable
    if patterns is None:
        return adapter or set(names)
    # A pattern means the base model's parameters, by the names that they have without an adapter.
    weights = {backbone_name(name): name for name in names if name not in adapter}
    words = {EMBEDDINGS: _embeddings(model), ADAPTER: adapter}
    chosen: set[str] = set()
    for pattern in patterns:
        meant = words.get(pattern) or {weights[name] for name in weights if fnmatchcase(name, pattern)}
        if not meant:
            raise SapwoodError(f"Stage '{stage.name}' trains '{pattern}', {_no_match(pattern, list(weights))}")
        chosen |= meant
    if recipe.training.weights == "bf16" and chosen & adapter and chosen - adapter - words[EMBEDDINGS]:
        # FSDP reduces the gradients of a layer together, and adapters are fp32.
        raise SapwoodError(
            f"Stage '{stage.name}' trains the adapter and weights beside it, which needs training.weights: fp32."
        )
    return chosen


def _embeddings(model: PreTrainedModel) -> set[str]:
    modules = (model.get_input_embeddings(), model.get_output_embeddings())
    parameters = {id(parameter) for module in modules if module is not None for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in parameters}


def _no_match(pattern: str, names: Sequence[str]) -> str:
    if pattern == ADAPTER:
        return "and the recipe has no training.adapter."
    near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.0)
    return f"which matches none of the model's parameters. The nearest are {', '.join(near)}."
