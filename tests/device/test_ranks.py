from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rank_processes import ends, started
from waiting_rank import be_rank

pytestmark = pytest.mark.slow


def test_what_the_first_rank_does_alone_may_take_longer_than_a_step(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert ends(started(be_rank, [(rank, port, str(tmp_path)) for rank in range(2)]))
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == ["built", "built"]
