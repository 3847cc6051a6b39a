"""A finished synthesis job whose files were lost or damaged afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.files import write_lines
from sapwood.runs.manifest import Manifest, finished
from sapwood.synthesis.account import read_records
from sapwood.synthesis.directory import JobDirectory

PLANNED = Manifest(step="synthesis", inputs={}, settings={})


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    directory = JobDirectory(tmp_path / "qa")
    write_lines(directory.accepted, [{"attempt": number, "accepted": True} for number in range(3)], sealed=True)
    PLANNED.write(directory.root, directory.accepted.name)
    assert finished(directory.root, PLANNED, directory.remedy) == PLANNED
    return directory


def test_lost_items_are_named_and_cost_no_answer(job: JobDirectory) -> None:
    job.accepted.unlink()
    with pytest.raises(SapwoodError, match=r"accepted\.jsonl cannot be read: No such file .* asks for nothing twice\."):
        finished(job.root, PLANNED, job.remedy)
    (job.root / "manifest.json").unlink()  # as the remedy says
    assert finished(job.root, PLANNED, job.remedy) is None


def test_items_that_are_cut_short_or_changed_are_named(job: JobDirectory) -> None:
    content = job.accepted.read_bytes()
    job.accepted.write_bytes(content[: content.index(b"\n") + 1])
    with pytest.raises(SapwoodError, match=r"accepted\.jsonl is damaged: it has [\d,]+ bytes, and had"):
        finished(job.root, PLANNED, job.remedy)
    job.accepted.write_bytes(content.replace(b'"attempt":1', b'"attempt":7'))
    with pytest.raises(SapwoodError, match=r"accepted\.jsonl is damaged: its checksum"):
        list(read_records(job.accepted, job.remedy))
