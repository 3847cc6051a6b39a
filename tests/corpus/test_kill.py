"""A process that is killed at any moment loses nothing but time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PREPARE = """
import sys
from pathlib import Path
from sapwood.corpus import engine, ingest
from sapwood.corpus.store import SourceStore
from sapwood.recipe.data import Engine, Normalise, Source
if __name__ == "__main__":
    ingest.SHARD_BYTES = 2000
    engine.WORKER_BYTES = 1
    source = Source(files=[sys.argv[1] + "/*.jsonl"])
    ingest.ingest(SourceStore(Path(sys.argv[2])), source, Normalise(), Engine(workers=int(sys.argv[3])))
"""


def contents(directory: Path) -> dict[str, bytes]:
    names = [path for path in (directory / "documents").iterdir() if path.is_file()]
    return {path.name: path.read_bytes() for path in names if path.name not in ("attempt.json", "manifest.json")}


@pytest.mark.parametrize("processes", [1, 2])
def test_kill_at_random_moments(tmp_path: Path, processes: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        lines = [
            "broken" if row % 9 == 4 else json.dumps({"text": f"{number} {row} " * 30, "n": row}) for row in range(160)
        ]
        (data / f"{number}.jsonl").write_text("\n".join(lines))
    script = tmp_path / "prepare.py"
    script.write_text(PREPARE)

    def start(directory: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(script), str(data), str(directory), str(processes)]
        return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)

    whole, out = tmp_path / "whole" / "web", tmp_path / "out" / "web"
    assert start(whole).wait() == 0
    total = len(list(whole.glob("documents/*.parquet")))
    assert total > 30

    generator = random.Random(processes)
    reached: list[int] = []
    for part in (1, 2):
        target = generator.randrange(total * part // 3 - 5, total * part // 3 + 5)
        process = start(out)
        while process.poll() is None and len(list(out.glob("documents/*.parquet"))) < target:
            time.sleep(generator.random() * 0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (out / "documents" / "manifest.json").exists()
        reached.append(len(list(out.glob("documents/*.parquet"))))
    assert sorted(set(reached)) == reached  # each attempt went on from the one before, and none came to the end
    assert start(out).wait() == 0
    assert contents(out) == contents(whole)
