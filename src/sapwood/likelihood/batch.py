"""Which sequences go through the model together, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

PADDING_SHARE = 1 / 16
"""How much of `max_tokens` may be padding: what it costs to compute more, against what another pass costs."""


def plan_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Groups sequences of similar length; returns batches of indices into `lengths`, the longest first.

    A batch, padded to its longest row, holds at most `max_tokens` tokens, a sixteenth of that in padding; a row
    that is longer than that stands alone. Longest first, because a model that runs out of memory should do so
    at once. The answer depends on nothing but the arguments: sequences of equal length keep their order.

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
        if too_large or padding > max_tokens * PADDING_SHARE:
            batches.append([])
            longest, padding = lengths[index], 0
        batches[-1].append(index)
    return batches
