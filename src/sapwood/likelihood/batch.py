"""Which sequences go through the model together, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence


def plan_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Groups sequences of similar length; returns batches of indices into `lengths`, the longest first.

    A batch, padded to its longest row, holds at most `max_tokens` tokens; a row that is longer than that
    stands alone. Longest first, because a model that runs out of memory should do so at once. The answer
    depends on nothing but the arguments: sequences of equal length keep their order.

    >>> plan_batches([3, 9, 4, 4], max_tokens=8)
    [[1], [2, 3], [0]]
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, max_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + rows])
        start += rows
    return batches
