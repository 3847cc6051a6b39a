"""Files that cannot be read or written, a full disk above all, told to the user in place of a traceback."""

from __future__ import annotations

import errno
import os
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


def explain(error: OSError) -> str:
    """What an error of the system is about, and what to do."""
    name = None if error.filename is None else os.fsencode(error.filename).decode("utf-8", "backslashreplace")
    said = error.strerror or str(error) or type(error).__name__
    return f"{f'{name}: ' if name else ''}{said}. {_remedy(error)}".rstrip()


def _remedy(error: OSError) -> str:
    if is_disk_full(error):
        return "Free some space and run the same command again: it continues, and no file is half written."
    return _REMEDIES.get(error.errno or 0, "")


_REMEDIES = {
    errno.EROFS: "Nothing can be written there. Write elsewhere: `--runs DIRECTORY`, or a copy of the run.",
    errno.EACCES: "This user may not. Change the owner or the mode (`chmod`), or write elsewhere: `--runs DIRECTORY`.",
    errno.EPERM: "This user may not. Change the owner or the mode (`chmod`), or write elsewhere: `--runs DIRECTORY`.",
    errno.EFBIG: "Larger files are not allowed here, by the file system or by `ulimit -f`.",
    errno.EMFILE: "Allow more open files: `ulimit -n`.",
    errno.ENAMETOOLONG: "Give it a shorter name.",
    errno.EISDIR: "A directory stands where a file is needed. Move it away.",
    errno.ENOTDIR: "A file stands where a directory is needed. Move it away.",
    errno.EEXIST: "A file stands where a directory is needed. Move it away.",
    errno.ELOOP: "The links lead in a circle. Remove one.",
    errno.EIO: "The disk, or the way to it, fails. What was finished is kept.",
}


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
