"""One command at a time writes into a directory; another one is refused at once, and told who is at work there.

The lock is `flock` on a small file, so that it ends with the process that holds it, however that ends; the file says
who that is. On NFS the lock holds between machines where the mount has locks (version 4, or `lockd`; not `nolock` or
`local_lock=flock`), on Lustre where it is mounted with `flock`. A file system without any locks is told once, and used.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from sapwood.errors import SapwoodError
from sapwood.progress import console

HELD = ".held"
"""The name of the file in a directory that is filled in place; one that is replaced as a whole has it beside it."""
_WITHOUT_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)

_ours: dict[Path, int] = {}
"""The files that this process holds, and their descriptors."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a directory."""

    pid: int
    host: str
    command: str
    since: str
    """When it began to hold it, UTC."""

    @staticmethod
    def here() -> Holder:
        """This process. Of its command line the fields that were set are left out: they may be anything."""
        program, *arguments = sys.argv
        named = "sapwood" if Path(program).name in ("sapwood", "__main__.py") else Path(program).name
        command = shlex.join([named, *(argument for argument in arguments if "=" not in argument)])
        return Holder(os.getpid(), socket.gethostname(), command, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))


@contextmanager
def hold(directory: Path, *, replaced: bool = False, rank: int | None = None) -> Iterator[None]:
    """Holds a directory while the block runs, so that no other process does. It is made if it is not there.

    A directory that is `replaced` as a whole need not exist. Processes that share a piece of work without knowing of
    each other hold it together, each as its own `rank`. What this process holds already it may hold again. Raises
    SapwoodError, which names the holder, where another process holds it, and where nothing can be written there.
    """
    place = directory.parent if replaced else directory
    is_new = not place.exists()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SapwoodError(f"{place} cannot be made a directory: {error.strerror}. Name another place.") from None
    path = place.resolve() / (f".{directory.name}{HELD}" if replaced else HELD)
    with ExitStack() as stack:
        if rank is None:
            stack.enter_context(_locked(path, directory, fcntl.LOCK_EX))
        else:
            stack.enter_context(_locked(path, directory, fcntl.LOCK_SH))
            stack.enter_context(_locked(path.with_name(f"{HELD}-{rank}"), directory, fcntl.LOCK_EX))
        yield
    if is_new:
        with suppress(OSError):
            place.rmdir()  # nothing came of it


def refuse_held(directory: Path) -> None:
    """Raises SapwoodError, which names the holder, where another process holds a directory that is filled in place."""
    if (path := directory.resolve() / HELD).exists():
        with _locked(path, directory, fcntl.LOCK_SH):
            pass


@contextmanager
def _locked(path: Path, directory: Path, kind: int) -> Iterator[None]:
    if path in _ours:
        yield
        return
    handle = _lock(path, directory, kind)
    _ours[path] = handle
    try:
        yield
    finally:
        del _ours[path]
        if kind == fcntl.LOCK_EX:  # whoever opened it meanwhile finds that it is gone, and makes it anew
            path.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, directory: Path, kind: int) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise SapwoodError(f"Nothing can be written into {path.parent}: {error.strerror}.") from None
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 1 << 16, 0)
            os.close(handle)
            raise SapwoodError(_refusal(directory, holder)) from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                os.close(handle)
                raise SapwoodError(f"{path} cannot be locked: {error.strerror}.") from None
            console.print(
                f"The file system of {directory} has no locks: see to it that one command at a time writes there.",
                style="yellow",
            )
            return handle
        if _is_there(path, handle):
            break
        os.close(handle)  # its holder has removed it between the two calls
    with suppress(OSError):  # the lock holds on a full disk too; the others are told less
        os.ftruncate(handle, 0)
        os.pwrite(handle, orjson.dumps(asdict(Holder.here())), 0)
    return handle


def _is_there(path: Path, handle: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(handle)
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)


def _refusal(directory: Path, content: bytes) -> str:
    try:
        holder = Holder(**orjson.loads(content))
    except (ValueError, TypeError):  # it is about to write who it is
        return f"{directory} is in use: another command writes there. Wait until it has ended."
    return (
        f"{directory} is in use: `{holder.command}` (process {holder.pid} on {holder.host}) writes there since "
        f"{holder.since}. Wait until it has ended, or stop it (`kill {holder.pid}`, on that machine); then run the "
        "same command again."
    )


def _let_go() -> None:
    """A forked child holds nothing: the lock would outlive its holder in it."""
    for handle in _ours.values():
        os.close(handle)
    _ours.clear()


os.register_at_fork(after_in_child=_let_go)
