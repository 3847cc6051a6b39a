"""Rebuilds data/puzzles.jsonl.zst: questions with exact answers, made by reasoning-gym 0.1.25 (Apache-2.0).

Needed only to rebuild it, with `pip install 'sapwood[programs]'`; the same version of both
gives the same file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import zstandard

from sapwood.recipe.data import Source
from sapwood.synthesis.source import write_source

PROGRAMS = {
    "calendar_arithmetic": 500,
    "chain_sum": 400,
    "time_intervals": 400,
    "leg_counting": 300,
    "family_relationships": 300,
}
"""Without `gsm_symbolic`, whose questions are those of GSM8K with other numbers, and now and then with the same."""


def main() -> None:
    """Writes the file beside the demo's other texts."""
    with tempfile.TemporaryDirectory() as directory:
        items = write_source("puzzles", Source(programs=PROGRAMS), 0, Path(directory)).read_bytes()
    target = Path(__file__).parent / "data" / "puzzles.jsonl.zst"
    target.write_bytes(zstandard.ZstdCompressor(level=19).compress(items))


if __name__ == "__main__":
    main()
