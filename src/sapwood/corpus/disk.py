"""Files that cannot be read or written, a full disk above all, told to the user in place of a traceback."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sapwood.errors import SapwoodError
from sapwood.files import is_disk_full


def explain(error: Exception) -> str:
    """What an error of the system, or that of a full disk, is about, and what to do."""
    name = _file_of(error)
    said = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    if is_disk_full(error):
        remedy = "Free some space and run the same command again: it continues, and no file is half written."
    else:
        remedy = _REMEDIES.get((isinstance(error, OSError) and error.errno) or 0, "")
    return f"{f'{name}: ' if name else ''}{said}. {remedy}".rstrip()


def _file_of(error: Exception) -> str | None:
    if not isinstance(error, OSError) or error.filename is None:
        return None
    return os.fsencode(error.filename).decode("utf-8", "backslashreplace")


_REMEDIES = {
    errno.EROFS: "Nothing can be written there. Write elsewhere: into another directory of runs, or a copy of the run.",
    errno.EACCES: "This user may not. Change the owner or the mode (`chmod`), or take another directory of runs.",
    errno.EPERM: "This user may not. Change the owner or the mode (`chmod`), or take another directory of runs.",
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
    """Raises SapwoodError where the work inside meets a full disk; `directory` is where it writes.

    The file is named where the error names it."""
    try:
        yield
    except SapwoodError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        place = _file_of(error) or directory
        raise SapwoodError(
            f"{title}{': ' if title else ''}no space left on the device of {place}. Free some and run the same command "
            "again: it continues, and no file is half written."
        ) from error
