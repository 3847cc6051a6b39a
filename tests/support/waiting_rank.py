"""What a rank does in `tests/device/test_ranks.py`. It loads little besides torch."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from sapwood.device.ranks import Ranks

IMPATIENT = timedelta(seconds=2)


def be_rank(rank: int, port: int, directory: str) -> None:
    """Waits for the first rank, which takes longer than the messages of a step may, and writes what it was told."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = Ranks.join(IMPATIENT)
    if ranks.first:
        time.sleep(2 * IMPATIENT.seconds)
    ranks.wait()
    told = ranks.tell("built" if ranks.first else None)
    Path(directory, f"{rank}.txt").write_text(told)
