from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from sapwood.corpus.disk import full_disk_explained
from sapwood.errors import SapwoodError
from sapwood.files import is_disk_full

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_numpy_says_it_in_its_own_way() -> None:
    with pytest.raises(OSError, match="requested") as caught:
        np.zeros(1 << 20).tofile(FULL)
    assert caught.value.errno is None
    assert is_disk_full(caught.value)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), True),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "no (os error 28)"), False),
        (ValueError("a full stop"), False),
    ],
)
def test_other_errors_are_left_alone(tmp_path: Path, error: Exception, full: bool) -> None:
    assert is_disk_full(error) == full
    with pytest.raises(SapwoodError if full else type(error)) as raised, full_disk_explained(tmp_path, "web: trim"):
        raise error
    if full:
        assert str(raised.value).startswith(f"web: trim: no space left on the device of {tmp_path}. Free some")


def test_what_was_explained_inside_stays(tmp_path: Path) -> None:
    with (
        pytest.raises(SapwoodError, match=r"^web: quality: no space"),
        full_disk_explained(tmp_path),
        full_disk_explained(tmp_path, "web: quality"),
    ):
        raise OSError(errno.ENOSPC, "full")
