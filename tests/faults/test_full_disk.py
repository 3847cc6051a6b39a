"""A disk that is full, wherever a run meets it: a sentence, and the same command continues."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from small_faults import Outcome, put_recipe, results_of

pytestmark = pytest.mark.slow


def test_a_full_disk_at_every_step(
    finished_run: Path,
    tmp_path: Path,
    tiny_backbone: Path,
    sapwood: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every file that must be there after a crash is waited for with `fsync`, which fails now and then."""
    recipe = put_recipe(tmp_path, tiny_backbone)
    whole, rng, met = os.fsync, random.Random(0), []
    left = 0

    def fsync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            met.append(Path(f"/proc/self/fd/{handle}").resolve())
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    outcomes = []
    while not outcomes or outcomes[-1].status:
        left = rng.randrange(5, 60)
        outcomes.append(sapwood("run", recipe, "--runs", tmp_path / "runs"))
        assert len(outcomes) < 40
    assert len(outcomes) > 3
    for refused in outcomes[:-1]:
        assert refused.is_refusal
        assert "No space left" in refused.said or "no space left" in refused.said, refused.said
    run = tmp_path / "runs" / "tiny"
    assert results_of(run) == results_of(finished_run)
    assert not [path for path in run.rglob(".*") if path.name.endswith((".tmp", ".old"))]
    assert len(set(met)) > 3


@pytest.mark.parametrize(
    "verb",
    [
        ("merge", "RUN", "--last", "2", "--output", "OUT"),
        ("export", "RUN"),
        ("export", "RUN", "--format", "megatron", "--output", "OUT"),
        ("checkpoint", "export", "RUN", "step-00000012", "--output", "OUT"),
        ("expand", "MODEL", "--blocks", "1", "--output", "OUT"),
        ("report", "RUN"),
    ],
    ids=["merge", "export", "megatron", "checkpoint", "expand", "report"],
)
def test_a_full_disk_in_every_verb_that_writes(
    finished: Path,
    tiny_backbone: Path,
    tmp_path: Path,
    sapwood: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    verb: tuple[str, ...],
) -> None:
    """The first file, and one in the middle, cannot be written; what is there afterwards is whole, or is not there."""
    paths = {"RUN": finished, "OUT": tmp_path / "out", "MODEL": tiny_backbone}
    whole, done, allowed = os.fsync, 0, 10**6

    def fsync(handle: int) -> None:
        nonlocal done
        done += 1
        if done > allowed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    for allowed in (0, 3, 10**6):
        done = 0
        found = sapwood(*(paths.get(word, word) for word in verb))
        leftovers = [path for path in tmp_path.rglob(".*") if path.name.endswith((".tmp", ".old"))]
        assert not leftovers
        if done <= allowed:
            assert found.status == 0
            continue
        assert found.is_refusal
        assert f"{tmp_path}/" in found.said
        assert "No space left on device. Free some space and run the same command again" in found.said
        if verb[0] != "export":
            assert not paths["OUT"].exists()
    assert found.status == 0


def test_a_place_that_cannot_be_written_is_named(
    finished: Path, sapwood: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "report.html")

    monkeypatch.setattr(os, "fsync", refuse)
    refused = sapwood("report", finished)
    assert refused.is_refusal
    assert "report.html: Read-only file system" in refused.said
