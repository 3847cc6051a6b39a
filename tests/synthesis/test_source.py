from __future__ import annotations

import json
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.files import read_lines, write_lines
from sapwood.progress import console
from sapwood.recipe.data import Source
from sapwood.runs.manifest import Manifest, read_manifest
from sapwood.synthesis.source import write_source
from verify_fake import item


def test_items_that_cannot_be_made_wrong_are_counted(tmp_path: Path) -> None:
    job = tmp_path / "qa.yaml"
    job.write_text(
        json.dumps({"name": "qa", "server": {"url": "http://x/v1", "model": "m"}, "items": 9, "problems": {}})
    )
    numbers = [item(f"How far, {number}?", f"{number}5 km") for number in range(4)]
    words = [item(f"Who was it, {number}?", "Nobody knows.") for number in range(3)]
    source = Source(synthesis=str(job), corrupt={"share": "100%", "ways": ["numbers"]})
    with pytest.raises(SapwoodError, match="the synthesis job is not finished"):
        write_source("qa", source, 0, tmp_path / "documents")
    write_lines(tmp_path / "qa" / "accepted.jsonl", [each.to_json() for each in [*numbers, *words]])
    Manifest(step="synthesis", inputs={}, settings={}, counts={"accepted": 7}).write(tmp_path / "qa")
    with console.capture() as said:
        path = write_source("qa", source, 0, tmp_path / "documents")
    assert "4 of 7 items made wrong on purpose; 3 more were to be" in said.get()
    manifest = read_manifest(tmp_path / "documents")
    assert manifest is not None
    assert manifest.counts == {"items": 7, "corrupted": 4, "unchangeable": 3}
    assert [line["corrupted"] is None for line in read_lines(path)] == [False] * 4 + [True] * 3
