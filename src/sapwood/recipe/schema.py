"""The recipe: what the user writes, field by field. One YAML file, validated before anything costs money."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sapwood.recipe.data import Corpus, Engine, Holdout, Source
from sapwood.recipe.fields import MEASURING, MUTABLE, Bytes, Name, Rate, Share, Stretch, Strict, Tokens
from sapwood.recipe.mixture import Controller, Gate, Order, Replay, Shares
from sapwood.recipe.units import Interval

DecayShape = Literal["linear", "1-sqrt", "cosine"]
"""How a rate falls to its end."""


class LearningRate(Strict):
    """A schedule: a linear warm-up from `start` to `peak`, and `then` a shape until the end.

    A rate is a number, a share of the peak (`10%`), or `final`: the rate at which the stage before ended, and for the
    first stage or the whole run the one at which the model itself ended, where that is a model of ours.
    """

    peak: Rate
    """The highest learning rate."""
    start: Rate = 0.0
    """The learning rate at the first token, where there is a warm-up."""
    end: Rate = 0.0
    """The learning rate at the last token, for all shapes but `constant`."""
    warmup: Stretch = Interval(0, "tokens")
    """How long the warm-up lasts: tokens (`10B`) or `200 steps`."""
    then: Literal["constant", "linear", "cosine", "stable-decay"] = "constant"
    """What follows. `stable-decay` holds the peak and falls during the last `decay` (WSD)."""
    decay: Share = Fraction(1, 5)
    """For `stable-decay`: the share of the schedule's tokens during which the rate falls."""
    shape: DecayShape = "linear"
    """For `stable-decay`: how it falls. `1-sqrt` is steep at first (2405.18392)."""

    @property
    def is_relative(self) -> bool:
        """Whether it takes up the rate at which what came before ended."""
        return "final" in (self.start, self.peak, self.end)


def _peak_only(value: object) -> object:
    is_rate = value == "final" or (isinstance(value, int | float) and not isinstance(value, bool))
    return {"peak": value} if is_rate else value


Schedule = Annotated[LearningRate, BeforeValidator(_peak_only)]
"""A learning rate: a number, or `final`, stands for a constant rate."""


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
    trainable: list[str] | None = None
    """What is trained in this stage, in place of `training.trainable`."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Optimizer(Strict):
    """AdamW."""

    kind: Literal["adamw", "adamw-8bit"] = "adamw"
    """`adamw-8bit` keeps the two moments in 8 bits instead of 32."""
    betas: Annotated[tuple[float, float], BeforeValidator(_as_tuple)] = (0.9, 0.95)
    """Decay rates of the two moments."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay; not applied to vectors (norms, biases)."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """The largest norm of the gradient; null clips nothing."""


class Adapter(Strict):
    """Low-rank adapters beside frozen weights, by PEFT (needs `pip install sapwood[adapters]`)."""

    kind: Literal["lora", "dora"] = "lora"
    """DoRA learns the length of every column besides (2402.09353)."""
    rank: Annotated[int, Field(ge=1)] = 16
    """The rank of the update."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """The update is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the adapters' input."""
    targets: Annotated[list[str], Field(min_length=1)] = ["all-linear"]
    """Names of the modules that get one, such as `[q_proj, v_proj]`; `all-linear` is every linear module but the
    head, and is refused where those are but a part of the layers, as in mixtures of experts."""


class Parallel(Strict):
    """How the model is spread over the processes of torchrun. Nothing here changes what is trained on."""

    sharding: Literal["full", "hybrid", "none"] = "full"
    """`full`: every rank holds a part of weights, gradients and optimizer (FSDP2). `hybrid`: a part within the node,
    the same on all nodes. `none`: every rank holds everything."""
    offload: bool = False
    """Keep weights, gradients and optimizer in the memory of the host, and move each layer to the GPU for its turn."""
    reduce: Literal["step", "micro-batch"] = "step"
    """When gradients are summed over the ranks. Once a step sends least; after every micro-batch needs least memory."""
    timeout: Stretch = Interval(10 * 60, "seconds")
    """A rank that takes longer for a step ends the run, and says where it hangs."""

    def shards(self, ranks: int, ranks_per_node: int) -> int:
        """Into how many parts every copy of the model is cut."""
        return {"full": ranks, "hybrid": ranks_per_node, "none": 1}[self.sharding]


class Guard(Strict):
    """What is done about a step whose loss or gradient is not finite, or jumps."""

    threshold: Annotated[float, Field(gt=0)] | None = 6.0
    """A loss or gradient norm so many standard deviations above its running mean is a jump. Null: only what is not
    finite counts."""
    window: Annotated[int, Field(ge=8)] = 128
    """Over how many steps mean and deviation run; nothing is a jump before as many steps are done."""
    action: Literal["skip", "roll-back"] = "skip"
    """`skip` leaves the weights as they are. `roll-back` returns to the last checkpoint and leaves the batch out."""
    limit: Annotated[int, Field(ge=0)] = 8
    """How many such steps there may be in any 1,000; one more stops the run."""


class Best(Strict):
    """Which checkpoints are kept because they measure best."""

    by: str
    """The group or source whose held-out loss is to be lowest."""
    keep: Annotated[int, Field(ge=1)] = 1
    """How many."""


class Checkpoints(Strict):
    """When the state of a run is saved. It is also saved at the end of every round and when a run is stopped."""

    every: Annotated[Stretch, Field(json_schema_extra=MUTABLE)] = Interval(30 * 60, "seconds")
    """Tokens, steps, or a time: `5B`, `200 steps`, `30min`."""
    keep: Annotated[int, Field(ge=1, json_schema_extra=MUTABLE)] = 2
    """How many of the newest are kept."""
    keep_every: Annotated[Stretch | None, Field(json_schema_extra=MUTABLE)] = None
    """Besides, the first one after every so many tokens or steps is kept for good."""
    best: Annotated[Best | None, Field(json_schema_extra=MUTABLE)] = None
    """Besides, the best by held-out loss, which is measured between rounds."""
    asynchronous: Annotated[Literal["auto", "yes", "no"], Field(json_schema_extra=MUTABLE)] = "auto"
    """Write while training goes on, from a copy in the memory of the host. `auto` does on a GPU."""
    mirror: Annotated[str | None, Field(json_schema_extra=MUTABLE)] = None
    """Where checkpoints are copied to, in the background: a directory or an address of fsspec, such as
    `s3://bucket/runs`. A run that finds no checkpoint of its own continues from there."""

    def are_asynchronous(self, device: str) -> bool:
        """Whether they are written while training goes on, on a kind of device."""
        return self.asynchronous == "yes" or (self.asynchronous == "auto" and device == "cuda")


Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]


class Training(Strict):
    """How the model is trained."""

    batch_tokens: Tokens
    """Tokens in one optimizer step over all devices. Rounded down to whole sequences."""
    learning_rate: Schedule | None = None
    """The schedule over the whole run. Without it, every stage needs its own."""
    optimizer: Optimizer = Optimizer()
    """AdamW's settings."""
    micro_batch: Annotated[int, Field(gt=0, json_schema_extra=MUTABLE)] = 1
    """Sequences that go through the model at once on one device. More is faster until memory is full."""
    precision: Literal["auto", "bf16", "fp32", "fp8"] = "auto"
    """Arithmetic of the forward and backward pass. `auto` takes bf16 where the hardware is fast at it. `fp8` computes
    the matrix products of the layers in 8 bits (needs `pip install sapwood[fp8]` and a GPU of capability 8.9)."""
    weights: Literal["fp32", "bf16"] = "fp32"
    """What weights are kept in between steps. `bf16` takes half the memory; updates are rounded stochastically, so that
    small ones are not lost."""
    trainable: list[str] | None = None
    """What is trained: patterns of parameter names, such as `model.layers.3.*`; `embeddings` stands for the input
    embeddings and the head. Everything where nothing is said; with an adapter, nothing but the adapter."""
    adapter: Adapter | None = None
    """Train low-rank adapters in place of the weights."""
    isolate_documents: bool = True
    """Whether documents packed into one sequence are hidden from each other. The paper did not hide them."""
    loss: Annotated[Literal["chunked", "whole"], Field(json_schema_extra=MUTABLE)] = "chunked"
    """How the loss is computed: `chunked` with the head, some rows at a time, so that the logits of a batch never stand
    in memory whole; `whole` from all logits, as transformers does."""
    activation_checkpointing: Annotated[Literal["none", "selective", "full"], Field(json_schema_extra=MUTABLE)] = "none"
    """What the backward pass computes again instead of keeping it: `full` everything inside a layer, `selective` all
    but the results of matrix products and attention."""
    compile: Annotated[bool | Literal["auto"], Field(json_schema_extra=MUTABLE)] = "auto"
    """Compile the layers with torch.compile (needs a C++ compiler on CPUs), and on GPUs the update of weights and
    moments in fewer bits. `auto` does on GPUs, where Triton and a C compiler are there."""
    deterministic: Annotated[bool, Field(json_schema_extra=MUTABLE)] = False
    """On GPUs, take kernels alone that give the same bits each time, which are slower. On CPUs all do."""
    parallel: Annotated[Parallel, Field(json_schema_extra=MUTABLE)] = Parallel()
    """How the model is spread over processes."""
    guard: Guard = Guard()
    """What is done about a loss that is not finite, or jumps."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Keep an exponential moving average of the weights with this decay a step, such as 0.999 (`sapwood merge`)."""
    checkpoints: Checkpoints = Checkpoints()
    """When the state is saved."""
    trackers: Annotated[list[Tracker], Field(json_schema_extra=MUTABLE)] = []
    """Where metrics go besides `metrics.jsonl`."""


class Gain(Strict):
    """What is meant to get better."""

    domains: list[str]
    """Groups or sources."""


class Retention(Strict):
    """What is meant to stay as it is."""

    domains: list[str]
    """Groups or sources. A source that no group contains is for evaluation only: measured, and never trained on."""
    margin: Annotated[float, Field(gt=0)] = 0.01
    """The loss, in bits per byte, up to which an ability counts as kept. Declared before, judged after."""


class Samples(Strict):
    """Text generated before and after, for people to read."""

    prompts: list[str] = []
    """What the model continues. Without any, the openings of held-out documents are continued."""
    tokens: Annotated[int, Field(ge=0)] = 48
    """How many tokens are generated for each prompt, greedily."""


class During(Strict):
    """Suites that are put to the model while it is trained."""

    suites: Annotated[list[str], Field(min_length=1)]
    """Which of `evaluation.suites`."""
    every: Stretch
    """How often, counted from the beginning of the run: tokens (`5B`), or steps of a whole batch (`200 steps`)."""


class Evaluation(Strict):
    """What is measured before and after."""

    gain: Gain
    """The new abilities."""
    retention: Retention
    """The old abilities."""
    bytes: Annotated[Bytes, Field(json_schema_extra=MEASURING)] = 2**20
    """Held-out text scored for each source, at most, in whole documents."""
    document_bytes: Annotated[Bytes | None, Field(json_schema_extra=MEASURING)] = None
    """Score only so much from the start of each document. Null scores whole documents."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """The confidence of all intervals."""
    samples: Annotated[Samples, Field(json_schema_extra=MUTABLE)] = Samples()
    """Text generated before and after."""
    suites: Annotated[list[str], Field(json_schema_extra=MUTABLE)] = []
    """Suites of benchmarks that are put to the base model and to the adapted model: names of those that come with
    Sapwood, such as `small`, or files (`docs/suites.md`)."""
    items: Annotated[str | None, Field(json_schema_extra=MUTABLE)] = None
    """The directory with the files of the benchmarks."""
    during: Annotated[During | None, Field(json_schema_extra=MUTABLE)] = None
    """Suites that are put to the model while it is trained, too."""


class TokenizerSettings(Strict):
    """How texts begin and end, in training, scoring and prompts alike, where that is not as the model's tokenizer does
    it."""

    begin: Annotated[str, Field(min_length=1)] = "auto"
    """What stands in front of every text: `auto`, what the model's own tokenizer puts there, which may be nothing;
    `none`; or a token as it is spelled, such as `<bos>`."""
    end: Annotated[str, Field(min_length=1)] = "auto"
    """The token after every document: `auto`, the one that the model names as the end of a text, or a token."""


class Recipe(Strict):
    """A run, from the model and the texts to what will be judged."""

    name: Name
    """What the run is called; its directory is `runs/NAME`."""
    model: Annotated[str, Field(json_schema_extra=MUTABLE)]
    """The base model: a hub name (`org/name`, or `org/name@revision`), a Hugging Face directory, a GGUF file, or a GGUF
    file inside an installed Python package (`package:MODULE/FILE.gguf`). It may move after a run has begun; its weights
    may not change."""
    tokenizer: TokenizerSettings = TokenizerSettings()
    """How texts begin and end."""
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

    def full_batch(self, stage: str | None = None) -> int:
        """Tokens in a full batch of a stage, by name, or of sequences of the recipe's length: whole sequences."""
        own = next((part.sequence_length for part in self.stages if part.name == stage), None)
        length = own or self.sequence_length
        return self.training.batch_tokens // length * length
