"""Holding a directory while something is written into it, on one process or on all ranks of a job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from sapwood.errors import SapwoodError
from sapwood.runs.lock import hold


@contextmanager
def writing(directory: Path, *, replaced: bool = False, timeout: timedelta | None = None) -> Iterator[None]:
    """Holds a directory that a command writes into (`lock.hold`). Of several ranks the first does, and tells others.

    `timeout` is how long these ranks wait for each other from then on (`Ranks.join`). Raises SapwoodError, on all
    ranks, where another command writes there.
    """
    with ExitStack() as stack:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            stack.enter_context(hold(directory, replaced=replaced))
        else:
            from sapwood.device.ranks import Ranks

            ranks, refusal = Ranks.join(timeout), None
            if ranks.first:
                try:
                    stack.enter_context(hold(directory, replaced=replaced))
                except SapwoodError as error:
                    refusal = str(error)
            refusal = ranks.tell(refusal)
            if refusal is not None:
                raise SapwoodError(refusal)
        yield
