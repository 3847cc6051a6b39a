"""Which sequences go through the model together, so that little of a batch is padding, and how many fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}
"""A padded batch has at most so many tokens; with more, a device is no faster."""
CPU_LOGITS, CPU_CHUNK = 1 << 28, 1 << 22
"""On a CPU: logits of a batch at most, 1 GiB in fp32; those that become probabilities at a time, 16 MiB in fp32."""
GPU_LOGITS, GPU_CHUNK = 64, 512
"""On a GPU, where a small batch leaves most units idle: a logit of a batch for so many bytes of memory, a thirty-second
of it in bf16; and one that becomes a probability at a time, which takes three numbers in fp32, a fortieth."""
PADDING_SHARE = 1 / 16
"""How much of `max_tokens` may be padding: what it costs to compute more, against what another pass costs."""


def plan_batches(
    lengths: Sequence[int], max_tokens: int, kind_of: Callable[[int], int] = lambda length: 0
) -> list[list[int]]:
    """Groups sequences of similar length; returns batches of indices into `lengths`, the longest first.

    A batch, padded to its longest row, holds at most `max_tokens` tokens, a sixteenth of that in padding; a row
    that is longer than that stands alone. Longest first, because a model that runs out of memory should do so
    at once. The rows of a batch have lengths of one kind, by `kind_of`, which does not fall as lengths grow. The
    answer depends on nothing but the arguments: sequences of equal length keep their order.

    >>> plan_batches([3, 9, 4, 4], max_tokens=8)
    [[1], [2, 3], [0]]
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
    batches: list[list[int]] = []
    longest = padding = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        padding += longest - lengths[index]
        too_large = not batches or (len(batches[-1]) + 1) * longest > max_tokens
        other = not too_large and kind_of(lengths[index]) != kind_of(longest)
        if too_large or other or padding > max_tokens * PADDING_SHARE:
            batches.append([])
            longest, padding = lengths[index], 0
        batches[-1].append(index)
    return batches


def batch_tokens(device: torch.device, vocabulary: int) -> int:
    """How many tokens a padded batch has at most that a model with this vocabulary scores on a device."""
    logits = CPU_LOGITS if device.type == "cpu" else _memory(device) // GPU_LOGITS
    return max(1, min(BATCH_TOKENS[device.type], logits // vocabulary))


def chunk_logits(device: torch.device) -> int:
    """How many logits are turned into probabilities at a time, whatever the batch and the vocabulary."""
    return CPU_CHUNK if device.type == "cpu" else _memory(device) // GPU_CHUNK


def _memory(device: torch.device) -> int:
    """Bytes, all there are: what is free would make the batches of a run that goes on others than before."""
    return int(torch.cuda.get_device_properties(device).total_memory)
