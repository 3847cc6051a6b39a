"""Steps of the real engine on a GPU that is not there (`fake_gpu`), for tests and for `benchmarks/roofline.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fake_gpu
from one_rank import a_recipe

SMALL = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "pad_token_id": None,
}
"""Fields of a Llama's configuration. Heads of 16, which FlashAttention takes."""
DOCUMENT = 20
"""Tokens of a document, in the middle."""


def step(
    training: Mapping[str, Any] | None = None,
    *,
    model: Mapping[str, Any] | None = None,
    world: int = 1,
    micro_batches: int = 1,
    length: int = 64,
    steps: int = 1,
) -> fake_gpu.Counts:
    """What a step asks of the first of `world` GPUs, the last of `steps`.

    `training` are fields of the recipe's, `model` those of a Llama. A step has `micro_batches` a rank.
    """
    return large_step(
        training,
        model={**SMALL, **(model or {})},
        world=world,
        micro_batches=micro_batches,
        length=length,
        document=DOCUMENT,
        steps=steps,
    )[0]


def large_step(
    training: Mapping[str, Any] | None,
    *,
    model: Mapping[str, Any],
    world: int,
    micro_batches: int,
    length: int,
    document: int,
    steps: int = 2,
) -> tuple[fake_gpu.Counts, float, float]:
    """The same of any Llama, with documents of `document` tokens in the middle.

    With it come the share of its row that a token sees on the average, and the model's FLOPs for a token.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    from sapwood.training import quantise

    settings = {"precision": "bf16", "micro_batch": 2, **(training or {})}
    sequences = settings["micro_batch"] * micro_batches * world
    recipe = a_recipe(**settings, batch_tokens=length * sequences)
    fake_gpu.join(world)
    ranks = fake_gpu.ranks(world)
    inputs = list(_batches(recipe, ranks, sequences, steps, length, document))
    bounds = inputs[-1].micro_batches[0].batch.bounds.double()
    share = float(bounds.diff().square().sum() / 2 / (bounds[-1] * length))
    config = _config({"pad_token_id": None, **model}, length)
    for table in (quantise._shares, quantise._middles):  # fake ones, of the mode before
        table.cache_clear()
    counting = fake_gpu.meter()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        inputs = [fake_gpu.faked(mode, batch) for batch in inputs]
        engine = _engine(recipe, config, ranks)
        engine.begin_stage("one", length)
        for number, batch in enumerate(inputs[:-1]):
            engine.step(batch, batch.predicted, 1e-4, number)
        with counting:
            engine.step(inputs[-1], inputs[-1].predicted, 1e-4, steps)
    return counting.counts, share, engine._flops


def staged() -> tuple[fake_gpu.Counts, bool]:
    """What copies of a state for a checkpoint ask of a GPU, and whether the next ones are in the same memory."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from sapwood.training.staging import Staging

    device, counting = torch.device("cuda", 0), fake_gpu.meter()
    with FakeTensorMode():
        tensors = {name: torch.ones(size, 8, device=device) for name, size in (("one", 4), ("other", 2))}
        staging = Staging(device)
        with counting:
            first, second = staging.copy(tensors), staging.copy(tensors)
            staging.wait()
            read = [tensor + 1 for tensor in second.values()]
    counts: fake_gpu.Counts = counting.counts
    assert len(read) == 2
    return counts, all(first[name] is second[name] for name in first)


def _config(fields: Mapping[str, Any], length: int) -> Any:
    """A Llama's configuration, whose behaviour has been observed: that needs real numbers."""
    from transformers import LlamaConfig

    from sapwood.backbone.causal import refuse_sight_ahead
    from sapwood.training.attention import isolation
    from sapwood.training.loss import chunks_agree
    from sapwood.training.recompute import draws_random_numbers

    config = LlamaConfig(**{"max_position_embeddings": max(4096, length), **fields})
    for look in (isolation, chunks_agree, draws_random_numbers):
        look(config)
    refuse_sight_ahead(config, "The model")
    return config


def _engine(recipe: Any, config: Any, ranks: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from sapwood.training import model
    from sapwood.training.engine import Engine

    def load(_: Any) -> Any:
        made = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
        # FSDP2 moves parameters by `.data`, from which a fake one does not learn its new device.
        moved: dict[int, torch.nn.Parameter] = {}
        for module in made.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    new = moved.setdefault(id(parameter), torch.nn.Parameter(parameter.detach().to("cuda")))
                    module._parameters[name] = new
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else buffer.to("cuda")
        return made

    model.load_model = load
    return Engine(recipe, None, ["web"], ranks)  # type: ignore[arg-type]


def _batches(recipe: Any, ranks: Any, sequences: int, steps: int, length: int, document: int) -> Any:
    import numpy as np

    from sapwood.mixture.stream import Sequence
    from sapwood.tokens.sequence import Span
    from sapwood.training.loader import Loader

    class Stream:
        def __getitem__(self, position: int) -> Sequence:
            rng = np.random.default_rng(position)
            places = [0]
            while (at := places[-1] + max(4, int(rng.lognormal(np.log(document), 1)))) < length:
                places.append(at)
            bounds = [*places, length]
            spans = tuple(Span(number, 0, bounds[number + 1] - at, at) for number, at in enumerate(places))
            return Sequence(position, "web", 0, rng.integers(0, 500, length), spans)

    positions = [range(number * sequences, (number + 1) * sequences) for number in range(steps)]
    return Loader(Stream(), positions, length, ranks, recipe.training, ["web"])  # type: ignore[arg-type]
