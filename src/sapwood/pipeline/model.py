"""What can be known of the model before it is loaded: whether it is there, is a language model, and reads so far."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sapwood.backbone.resolve import at_hand, default_cache, gguf_file, hub_name, resolve
from sapwood.errors import SapwoodError
from sapwood.pipeline.checks import Problem
from sapwood.recipe import Recipe
from sapwood.recipe.schema import Stage

_TYPES_TO_EXTEND = ("default", "linear", "dynamic", "yarn")
"""Kinds of rotary positions that YaRN can take the place of."""


def check_model(recipe: Recipe, *, fetch: bool) -> Iterator[Problem]:
    """What is wrong with the model, and with sequences of the recipe's lengths in it."""
    directory, problems = find_model(recipe.model, ("model",), fetch=fetch)
    yield from problems
    if directory is None:
        return
    from sapwood.backbone.load import load_config  # takes seconds to import

    try:
        config = load_config(directory)
    except SapwoodError as error:
        yield Problem(("model",), str(error))
        return
    wrong = _no_language_model(config)
    if wrong is not None:
        yield Problem(("model",), wrong)
        return
    yield from _context(recipe, config)
    yield from _tokenizer(recipe, directory, fetched=fetch or hub_name(recipe.model) is None)
    from sapwood.training.probe import probe

    try:
        probe(directory, recipe.training)
    except SapwoodError as error:
        yield Problem(("model",), str(error))
        return
    yield from _trained(recipe, config)


def _trained(recipe: Recipe, config: Any) -> Iterator[Problem]:
    """What the recipe trains and the model does not have: adapters beside modules, and weights by their names."""
    from sapwood.backbone.load import build_skeleton
    from sapwood.training.adapters import add_adapters
    from sapwood.training.trainable import select

    training = recipe.training
    named = [stage.trainable for stage in recipe.stages]
    if training.adapter is None and training.trainable is None and not any(named):
        return
    model = build_skeleton(config)
    if training.adapter is not None:
        if find_spec("peft") is None:  # a problem of its own
            return
        try:
            add_adapters(model, training.adapter, recipe.seed)
        except SapwoodError as error:
            yield Problem(("training", "adapter"), str(error))
            return
    places: dict[tuple[str, ...], Stage] = {}  # of several stages that train the same, the first
    for number, stage in enumerate(recipe.stages):
        own = stage.trainable is not None
        places.setdefault(("stages", str(number), "trainable") if own else ("training", "trainable"), stage)
    for place, stage in places.items():
        try:
            select(model, recipe, stage)
        except SapwoodError as error:
            yield Problem(place, str(error))


def _tokenizer(recipe: Recipe, directory: Path, *, fetched: bool) -> Iterator[Problem]:
    """What is wrong with the tokenizer. Of a model on the hub, the configuration alone may have been `fetched`."""
    from sapwood.backbone.tokenizer import DelimiterError, open_tokenizer

    try:
        open_tokenizer(directory).delimiters(recipe.tokenizer.begin, recipe.tokenizer.end)
    except DelimiterError as error:
        yield Problem(("tokenizer", error.field), error.message)
    except SapwoodError as error:
        yield Problem(("model", "tokenizer"), str(error), waits=not fetched)


def check_other_models(recipe: Recipe, *, fetch: bool) -> Iterator[Problem]:
    """What is wrong with models that are named beside the one that is trained."""
    perplexity, topics = recipe.corpus.perplexity, recipe.corpus.topics
    if perplexity is not None and perplexity.model is not None:
        place = ("corpus", "perplexity", "model")
        directory, problems = find_model(perplexity.model, place, fetch=fetch)
        yield from problems
        if directory is not None:
            yield from _likelihood(directory, place)
    if topics.encoder is not None:
        yield from find_model(topics.encoder, ("corpus", "topics", "encoder"), fetch=fetch)[1]


def _likelihood(directory: Path, place: tuple[str, ...]) -> Iterator[Problem]:
    """Why the model in a directory cannot say how likely texts are."""
    from sapwood.backbone.causal import refuse_sight_ahead  # takes seconds to import
    from sapwood.backbone.load import load_config

    try:
        refuse_sight_ahead(load_config(directory), f"The model in {directory}")
    except SapwoodError as error:
        yield Problem(place, str(error))


def find_model(reference: str, place: tuple[str, ...], *, fetch: bool) -> tuple[Path | None, list[Problem]]:
    """The directory of a model, if there is one, and what is wrong. With `fetch`, the configuration of a model on the
    hub is downloaded, and a GGUF file is converted."""
    try:
        if fetch and hub_name(reference) is not None:
            return resolve(reference, default_cache(), weights=False), []
        if fetch or Path(reference).expanduser().is_dir():
            return resolve(reference, default_cache()), []
        file = gguf_file(reference)
        if file is not None and not file.is_file():
            resolve(reference, default_cache())  # says what is there instead
        directory = at_hand(reference, default_cache())
        if directory is not None:
            return directory, []
        if file is not None:
            missing = [name for name in ("accelerate", "gguf") if find_spec(name) is None]
            if missing:
                install = "pip install 'sapwood[gguf]'"
                return None, [Problem(place, f"to read a GGUF file, {' and '.join(missing)} must be there: {install}")]
            from sapwood.backbone.gguf import refuse_guess

            refuse_guess(file)
            message = "the GGUF file is here; `sapwood prepare` converts it, and then more is known of the model"
            return None, [Problem(place, message, waits=True)]
        if hub_name(reference) is None:
            resolve(reference, default_cache())  # says what is wrong with the name
    except SapwoodError as error:
        return None, [Problem(place, str(error))]
    message = (
        f"'{reference}' is on the Hugging Face hub, if anywhere, and not on this machine: `hf download {reference}`"
    )
    return None, [Problem(place, message, waits=True)]


def context_length(config: Any) -> int | None:
    """The most tokens that a model of this configuration is made for; None where it knows no such limit.

    A factor of rotary positions extends `max_position_embeddings`, but for the kinds where that is the extended length
    already (as vLLM reads it: llama3, longrope).
    """
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    rope = _rope(text)
    kind, factor = rope.get("rope_type", "default"), rope.get("factor")
    if factor is None or kind not in ("linear", "dynamic", "yarn"):
        return limit
    return max(limit, int((rope.get("original_max_position_embeddings") or limit) * factor))


def _context(recipe: Recipe, config: Any) -> Iterator[Problem]:
    limit = context_length(config)
    if limit is None:
        return
    lengths: list[tuple[tuple[str, ...], int]] = [(("sequence_length",), recipe.sequence_length)]
    for number, stage in enumerate(recipe.stages):
        if stage.sequence_length is not None:
            lengths.append((("stages", str(number), "sequence_length"), stage.sequence_length))
    for place, length in lengths:
        if length > limit:
            message = (
                f"{length} tokens are more than the {limit} of the model's context (max_position_embeddings in its "
                f"config.json). Write {limit} or less"
            )
            yield Problem(place, message + _extension(config, limit, length))


def _extension(config: Any, limit: int, length: int) -> str:
    """How the context is made longer, where the model's positions allow it."""
    text = config.get_text_config()
    rope = _rope(text)
    if rope.get("rope_type") not in _TYPES_TO_EXTEND:
        return "; positions of this model cannot be extended"
    original = rope.get("original_max_position_embeddings") or text.max_position_embeddings
    scaled = {
        "rope_type": "yarn",
        "rope_theta": rope.get("rope_theta", 10000.0),
        "factor": -(-length // original),
        "original_max_position_embeddings": original,
    }
    return (
        "; or extend the context in a copy of the model's directory, by writing into its config.json "
        f'"max_position_embeddings": {length}, "rope_parameters": {json.dumps(scaled)}. '
        "What is exported then says so too"
    )


def _rope(text: Any) -> dict[str, Any]:
    """The settings of rotary positions; none where a model has others, or several kinds of them."""
    rope = getattr(text, "rope_parameters", None)
    return rope if isinstance(rope, dict) and "rope_type" in rope else {}


def _no_language_model(config: Any) -> str | None:
    """Why a configuration is not that of a causal language model that can be trained on."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    made = getattr(config, "architectures", None) or []
    causal = {name for names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for name in _names(names)}
    if known is None or (made and not causal & set(made)):
        what = ", ".join(made) or config.model_type
        return f"{what} is no causal language model, such as LlamaForCausalLM, and cannot be trained on text alone"
    if getattr(config, "quantization_config", None) is not None:
        return "its weights are quantised, and cannot be trained on. Use the model's BF16, F16 or F32 version"
    return None


def _names(names: Any) -> tuple[str, ...]:
    return tuple(names) if isinstance(names, tuple | list) else (names,)
