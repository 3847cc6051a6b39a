"""The recipe: what the user writes, field by field. One YAML file, validated before anything costs money."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sapwood.recipe.data import Corpus, Engine, Holdout, Source
from sapwood.recipe.fields import MUTABLE, Bytes, Name, Share, Stretch, Strict, Tokens
from sapwood.recipe.mixture import Controller, Gate, Order, Replay, Shares
from sapwood.recipe.units import Interval


class LearningRate(Strict):
    """A schedule: a linear warm-up from `start` to `peak`, and `then` a shape until the end."""

    peak: Annotated[float, Field(gt=0)]
    """The highest learning rate."""
    start: Annotated[float, Field(ge=0)] = 0.0
    """The learning rate at the first token."""
    end: Annotated[float, Field(ge=0)] = 0.0
    """The learning rate at the last token, for all shapes but `constant`."""
    warmup: Stretch = Interval(0, "tokens")
    """How long the warm-up lasts: tokens (`10B`) or `200 steps`."""
    then: Literal["constant", "linear", "cosine", "stable-decay"] = "constant"
    """What follows. `stable-decay` holds the peak and falls in a line during the last `decay` (WSD)."""
    decay: Share = Fraction(1, 5)
    """For `stable-decay`: the share of the schedule's tokens during which the rate falls."""


def _peak_only(value: object) -> object:
    return {"peak": float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else value


Schedule = Annotated[LearningRate, BeforeValidator(_peak_only)]
"""A learning rate: a number stands for a constant rate."""


class Stage(Strict):
    """A part of a run with its own budget and mixture."""

    name: Name
    """What the stage is called in the plan, the ledger and the report."""
    tokens: Tokens
    """The budget. It is met to within one sequence."""
    mixture: Shares
    """Shares of the groups, as people say them: `{zh: 2, en: 8}`; or `natural`, `uniform` or `unimax`."""
    groups: dict[str, Shares] = {}
    """Groups whose inner shares differ in this stage from the recipe's."""
    topics: dict[str, Shares] = {}
    """Sources whose shares by topic differ in this stage from the recipe's."""
    order: dict[str, Order] = {}
    """The order of documents, by group or source. Shuffled where nothing is said."""
    controller: Controller = Controller()
    """What moves the mixture during the stage, and how long its rounds are."""
    replay: Replay | None = None
    """What moves the share of replay during the stage, beside the controller."""
    gate: Gate | None = None
    """What ends the stage before its budget does."""
    sequence_length: Annotated[int, Field(ge=8)] | None = None
    """Tokens in a packed sequence of this stage, in place of the recipe's."""
    learning_rate: Schedule | None = None
    """A schedule for this stage alone, in place of `training.learning_rate`."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Optimizer(Strict):
    """AdamW."""

    betas: Annotated[tuple[float, float], BeforeValidator(_as_tuple)] = (0.9, 0.95)
    """Decay rates of the two moments."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay; not applied to vectors (norms, biases)."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """The largest norm of the gradient; null clips nothing."""


class Checkpoints(Strict):
    """When the state of a run is saved. It is also saved at the end of every round and when a run is stopped."""

    every: Annotated[Stretch, Field(json_schema_extra=MUTABLE)] = Interval(30 * 60, "seconds")
    """Tokens, steps, or a time: `5B`, `200 steps`, `30min`."""
    keep: Annotated[int, Field(ge=1, json_schema_extra=MUTABLE)] = 2
    """How many are kept."""


class Training(Strict):
    """How the model is trained."""

    batch_tokens: Tokens
    """Tokens in one optimizer step over all devices. Rounded down to whole sequences."""
    learning_rate: Schedule | None = None
    """The schedule over the whole run. Without it, every stage needs its own."""
    optimizer: Optimizer = Optimizer()
    """AdamW's settings."""
    micro_batch: Annotated[int, Field(gt=0)] = 1
    """Sequences that go through the model at once on one device. More is faster until memory is full."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of the forward and backward pass; weights and optimizer stay fp32.
    `auto` takes bf16 where the hardware is fast at it."""
    isolate_documents: bool = True
    """Whether documents packed into one sequence are hidden from each other. The paper did not hide them."""
    checkpoints: Checkpoints = Checkpoints()
    """When the state is saved."""


class Gain(Strict):
    """What is meant to get better."""

    domains: list[str]
    """Groups or sources."""


class Retention(Strict):
    """What is meant to stay as it is."""

    domains: list[str]
    """Groups or sources. A source that no group contains is watched: measured, and never trained on."""
    margin: Annotated[float, Field(gt=0)] = 0.01
    """The loss, in bits per byte, up to which an ability counts as kept. Declared before, judged after."""


class Samples(Strict):
    """Text generated before and after, for people to read."""

    prompts: list[str] = []
    """What the model continues. Without any, the openings of held-out documents are continued."""
    tokens: Annotated[int, Field(ge=0)] = 48
    """How many tokens are generated for each prompt, greedily."""


class Evaluation(Strict):
    """What is measured before and after."""

    gain: Gain
    """The new abilities."""
    retention: Retention
    """The old abilities."""
    bytes: Annotated[Bytes, Field(json_schema_extra=MUTABLE)] = 2**20
    """Held-out text scored for each source, at most, in whole documents."""
    document_bytes: Annotated[Bytes | None, Field(json_schema_extra=MUTABLE)] = None
    """Score only so much from the start of each document. Null scores whole documents."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """The confidence of all intervals."""
    samples: Annotated[Samples, Field(json_schema_extra=MUTABLE)] = Samples()
    """Text generated before and after."""


class Recipe(Strict):
    """A run, from the model and the texts to what will be judged."""

    name: Name
    """What the run is called; its directory is `runs/NAME`."""
    model: Annotated[str, Field(json_schema_extra=MUTABLE)]
    """The backbone: a hub name (`org/name`, or `org/name@revision`), a Hugging Face directory, a GGUF file, or a GGUF
    file inside an installed Python package (`package:MODULE/FILE.gguf`). It may move after a run has begun; its weights
    may not change."""
    sequence_length: Annotated[int, Field(ge=8)]
    """Tokens in a packed sequence."""
    seed: int = 0
    """Decides every random choice."""
    sources: dict[Name, Source]
    """The sets of documents."""
    groups: dict[Name, Shares]
    """Sources by language or purpose, with their shares inside the group: `{web-zh: 70, book-zh: 30}`, or
    `{natural: [web-zh, book-zh]}`, likewise `uniform` and `unimax`."""
    topics: dict[str, Shares] = {}
    """Sources whose topics are domains of their own, with the topics' shares: explicit, or `natural`, `uniform` or
    `unimax`. Where a controller moves topics, all sources with `topics:` are; their shares are natural at first."""
    stages: Annotated[list[Stage], Field(min_length=1)]
    """The stages, in order."""
    corpus: Corpus = Corpus()
    """What is done to documents before they are trained on."""
    engine: Annotated[Engine, Field(json_schema_extra=MUTABLE)] = Engine()
    """Where the documents are worked on."""
    holdout: Holdout = Holdout()
    """What is never trained on."""
    training: Training
    """How the model is trained."""
    evaluation: Evaluation
    """What is measured."""
