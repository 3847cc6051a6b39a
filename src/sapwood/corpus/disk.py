"""A full disk, told to the user in place of a traceback, wherever in the work it is met."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sapwood.errors import SapwoodError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

# numpy says how much of an array it has written, safetensors raises an error of its own; neither gives an errno.
_SAID = re.compile(r"\d+ requested and \d+ written|\(os error (28|122)\)")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that a disk, or a quota, is full."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in DISK_FULL
    return _SAID.search(str(error)) is not None


@contextmanager
def full_disk_explained(directory: Path, title: str = "") -> Iterator[None]:
    """Raises SapwoodError where the work inside meets a full disk; `directory` is where it writes."""
    try:
        yield
    except SapwoodError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise SapwoodError(
            f"{title}{': ' if title else ''}no space left on the device of {directory}. Free some and run the same "
            f"command again: it continues, and no file is half written."
        ) from error
