"""Arrays whose blocks are checked as they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sapwood.arrays import BLOCK, SUMS, MappedArray, save_array
from sapwood.errors import SapwoodError

COUNT = 3 * BLOCK // 4 + 100
"""Elements of four bytes: three whole blocks, and a part of one."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_array(tmp_path / "a.npy", np.arange(COUNT, dtype=np.uint32))
    return tmp_path / "a.npy"


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("shape", [(0,), (5,), (7, 16)])
def test_what_is_saved_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    save_array(tmp_path / "a.npy", array)
    mapped = MappedArray(tmp_path / "a.npy", "", scattered=True)
    assert len(mapped) == shape[0]
    assert np.array_equal(mapped.whole(), array)
    assert np.array_equal(mapped.part(1, 2), array[1:3]) or not len(array)


def test_only_the_damaged_block_is_refused(path: Path) -> None:
    flip(path, BLOCK + 5)
    mapped = MappedArray(path, "Remove it.")
    assert mapped.part(0, 10).tolist() == list(range(10))
    assert mapped.part(BLOCK // 2, 1).tolist() == [BLOCK // 2]
    message = f"{path} is damaged: its bytes {BLOCK:,} to {2 * BLOCK - 1:,} are not those that were written. Remove it."
    for _ in range(2):
        with pytest.raises(SapwoodError) as refused:
            mapped.part(BLOCK // 4 - 40, 20)
        assert str(refused.value) == message
    with pytest.raises(SapwoodError, match="is damaged"):
        mapped.whole()


def test_the_last_elements_belong_to_the_last_block(path: Path) -> None:
    flip(path, path.stat().st_size - 1)
    mapped = MappedArray(path, "")
    mapped.part(COUNT - 2 - BLOCK // 4, 1)
    with pytest.raises(SapwoodError, match="is damaged"):
        mapped.part(COUNT - 1, 1)


def test_what_stands_at_the_beginning_is_checked_first(path: Path) -> None:
    flip(path, 20)
    with pytest.raises(SapwoodError, match="its bytes 0 to"):
        MappedArray(path, "")


def test_missing_cut_and_foreign_files_are_named(path: Path) -> None:
    sums = path.with_name(path.name + SUMS)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(SapwoodError, match=r"a\.npy is damaged: it has 98,831 bytes, and had 98,832\. Again\."):
        MappedArray(path, "Again.")
    path.unlink()
    with pytest.raises(SapwoodError, match=r"a\.npy cannot be read: No such file"):
        MappedArray(path, "Again.")
    path.mkdir()
    with pytest.raises(SapwoodError, match=r"a\.npy"):
        MappedArray(path, "Again.")
    path.rmdir()
    path.write_bytes(content)
    for damage in (sums.read_bytes()[:-8], sums.read_bytes()[:-3], b""):
        sums.write_bytes(damage)
        with pytest.raises(SapwoodError, match=r"a\.npy"):
            MappedArray(path, "Again.")
    sums.unlink()
    with pytest.raises(SapwoodError, match=r"a\.npy\.xxh3 cannot be read"):
        MappedArray(path, "Again.")
