"""Python's garbage collection, at steps that all ranks share."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 50
"""Steps. Left to itself, Python collects whenever a rank has made some thousand objects more, each at another step, and
all others wait for it: of 512 ranks, one at nearly every step."""


@contextmanager
def collected_in_step() -> Iterator[Callable[[int], None]]:
    """Nothing is collected in this block but when the function that it gives is called, with the number of a step.

    What is there already (modules, the model) is not looked through any more.
    """

    def collect(step: int) -> None:
        if step % EVERY == 0:
            gc.collect(1)

    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield collect
    finally:
        gc.enable()
        gc.unfreeze()
