from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from one_rank import a_recipe, loss_of, shard, tiny_llama, weights_of
from sapwood.errors import SapwoodError
from sapwood.recipe import Recipe
from sapwood.recipe.schema import Adapter
from sapwood.training.adapters import add_adapters, is_adapter
from sapwood.training.optimizer import build_optimizer
from sapwood.training.trainable import ever_trainable, select


def selected(model: PreTrainedModel, recipe: Recipe, stage: int = 0) -> set[str]:
    select(model, recipe, recipe.stages[stage])
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def staged(*patterns: list[str] | None, **training: object) -> Recipe:
    """A recipe whose stages train these."""
    recipe = a_recipe(**training)
    stages = [
        stage.model_copy(update={"trainable": names}) for stage, names in zip(recipe.stages, patterns, strict=True)
    ]
    return recipe.model_copy(update={"stages": stages})


def test_everything_is_trained_where_nothing_is_said() -> None:
    model = tiny_llama()
    assert selected(model, a_recipe()) == set(weights_of(model))


def test_patterns_and_words() -> None:
    model = tiny_llama(tie_word_embeddings=False)
    assert selected(model, a_recipe(trainable=["embeddings"])) == {"model.embed_tokens.weight", "lm_head.weight"}
    assert selected(tiny_llama(), a_recipe(trainable=["embeddings"])) == {"model.embed_tokens.weight"}
    found = selected(model, a_recipe(trainable=["model.layers.1.*", "model.norm.weight"]))
    assert len(found) == 10
    assert all(name.startswith(("model.layers.1.", "model.norm")) for name in found)


def test_a_stage_stands_above_the_recipe() -> None:
    model, recipe = tiny_llama(), staged(["model.norm.weight"], None, trainable=["embeddings"])
    assert selected(model, recipe, 0) == {"model.norm.weight"}
    assert selected(model, recipe, 1) == {"model.embed_tokens.weight"}
    assert ever_trainable(model, recipe) == {"model.norm.weight", "model.embed_tokens.weight"}


def test_patterns_that_mean_nothing() -> None:
    with pytest.raises(SapwoodError, match=r"'one' trains 'model\.norm\.wieght'.* nearest are model\.norm\.weight"):
        selected(tiny_llama(), a_recipe(trainable=["embeddings", "model.norm.wieght"]))
    with pytest.raises(SapwoodError, match=r"the recipe has no training\.adapter"):
        selected(tiny_llama(), a_recipe(trainable=["adapter"]))


def test_beside_adapters_patterns_mean_the_backbone() -> None:
    pytest.importorskip("peft", reason="needs PEFT")
    model = tiny_llama()
    add_adapters(model, Adapter(targets=["q_proj"]), seed=0)
    adapters = {name for name in weights_of(model) if is_adapter(name)}
    assert selected(model, a_recipe()) == adapters
    assert selected(model, a_recipe(trainable=["*.q_proj.weight"])) == {
        f"model.layers.{layer}.self_attn.q_proj.base_layer.weight" for layer in (0, 1)
    }
    assert selected(model, a_recipe(trainable=["adapter", "embeddings"])) == adapters | {"model.embed_tokens.weight"}
    with pytest.raises(SapwoodError, match=r"training\.weights: fp32"):
        selected(model, a_recipe(trainable=["adapter", "model.layers.1.*"], weights="bf16"))


def trained(recipe: Recipe, *, sharded: bool, dtype: torch.dtype | None = None) -> list[dict[str, torch.Tensor]]:
    """The weights before, between and after two stages of two steps."""
    model = tiny_llama()
    select(model, recipe, recipe.stages[0])
    if sharded:
        shard(model, dtype)
    optimizer = build_optimizer(model, recipe)
    history = [weights_of(model)]
    for stage in recipe.stages:
        select(model, recipe, stage)
        for _ in range(2):
            loss_of(model).backward()
            for group in optimizer.param_groups:
                group["lr"] = 1e-2
            optimizer.step()
            optimizer.zero_grad()
        history.append(weights_of(model))
        with torch.no_grad():
            loss_of(model)  # as measuring does between rounds; it leaves the last parameters whole
    return history


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_stages_train_different_parts_of_a_sharded_model(dtype: torch.dtype | None) -> None:
    recipe = staged(["embeddings"], ["model.layers.1.mlp.*"], optimizer={"weight_decay": 0.1})
    before, between, after = trained(recipe, sharded=True, dtype=dtype)
    assert changed(before, between) == {"model.embed_tokens.weight"}
    assert changed(between, after) == {f"model.layers.1.mlp.{part}_proj.weight" for part in ("gate", "up", "down")}
    if dtype is None:
        for ours, expected in zip((between, after), trained(recipe, sharded=False)[1:], strict=True):
            assert not changed(ours, expected)
