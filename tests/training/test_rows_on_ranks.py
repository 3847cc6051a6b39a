"""Documents one a row on several ranks: those with fewer micro-batches run empty ones, so that none waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rank_processes import ends, started
from rows_rank import be_rank

pytestmark = pytest.mark.slow


def test_ranks_with_fewer_micro_batches_of_rows_run_empty_ones(tmp_path: Path) -> None:
    assert ends(started(be_rank, [(rank, str(tmp_path)) for rank in range(2)]))
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == [[1, 5, 7], [[0], [], []], 1]
    assert second == [[1, 5, 7], [[0]] * 3, 3]
