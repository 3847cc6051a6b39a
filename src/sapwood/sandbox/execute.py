"""Runs Python programs that a model wrote where they can do no harm: in a sandbox of bubblewrap, or not at all."""

from __future__ import annotations

import math
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from sapwood.errors import SapwoodError
from sapwood.sandbox import inside
from sapwood.sandbox.seccomp import system_call_filter

Ended = Literal["passed", "failed", "ended early", "out of time", "out of memory", "too much output", "crashed"]

SCRATCH_BYTES = 16 * 2**20
"""How much a program can write into `/tmp`, the one place where it can write at all."""
OUTPUT_BYTES = 2**20
"""What a program may print."""
SHOWN_CHARACTERS = 2000
"""What is kept of that: the end."""
START_SECONDS = 60
"""How long the sandbox may take to start."""
WALL_FACTOR = 2
"""The limit of time is of the processor's; a program that sleeps may do so for this many times as long."""

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

_PROBE = """
import os
assert os.getuid() == os.geteuid() == 65534, "it is not nobody"
assert not os.access("/", os.W_OK), "it can write to /"
assert not os.path.exists("/proc"), "it can see processes"
try:
    os.fork()
except PermissionError:
    pass
else:
    raise AssertionError("it can start processes")
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a program."""

    ended: Ended
    """How it ended, as a phrase that can be counted. `passed`: it ran to its last line, and no exception came out of
    it. `ended early`: it ended itself before. `crashed`: a signal ended it."""
    output: str
    """The end of what it printed, with the traceback of its exception."""
    seconds: float
    """How long it ran."""

    @property
    def passed(self) -> bool:
        """Whether it ran to its last line."""
        return self.ended == "passed"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A way to run programs that has been tried. What it holds in and what it does not: docs/sandbox.md."""

    command: tuple[str, ...]
    """bubblewrap with its options."""
    interpreter: str
    filter: bytes
    """The system calls that are refused."""

    @staticmethod
    def find() -> Sandbox:
        """The sandbox of this machine. Raises SapwoodError where there is none, or where it does not work."""
        bubblewrap = shutil.which("bwrap")
        if bubblewrap is None:
            raise SapwoodError(
                "Programs that a model wrote run in a sandbox only, and there is none: the command bwrap is missing. "
                "Install bubblewrap (`apt install bubblewrap`, `dnf install bubblewrap`), 0.8 or later, on Linux."
            )
        home = Path(sys.base_prefix).resolve()
        interpreter = home / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        command = (bubblewrap, *_namespaces(), *_files(home, interpreter.resolve()))
        sandbox = Sandbox(command, str(interpreter.resolve()), system_call_filter())
        tried = sandbox.run(_PROBE, timeout_seconds=START_SECONDS, memory_bytes=2**28)
        if not tried.passed:
            raise SapwoodError(f"The sandbox does not hold what is in it ({tried.ended}): {tried.output}")
        return sandbox

    def run(self, program: str, *, timeout_seconds: float, memory_bytes: int) -> Outcome:
        """Runs a program of Python, as a module called `solution`, without input.

        The time is that of the processor, in whole seconds, rounded up; the memory is that of addresses.
        Raises SapwoodError where the sandbox itself does not start.
        """
        started, finished = (secrets.token_hex(inside.WORD_BYTES // 2).encode() for _ in range(2))
        seconds = max(1, math.ceil(timeout_seconds))
        head = b"%s\n%d\n%d\n" % (started, seconds, memory_bytes)
        source = program.encode("utf-8", "backslashreplace")
        around = Path(inside.__file__).read_text(encoding="utf-8")
        with _file(head + source + finished) as given, _file(self.filter) as filter_:
            process = subprocess.Popen(
                [*self.command, "--seccomp", str(filter_), "--", self.interpreter, "-SPB", "-c", around],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[filter_],
                env={},
            )
        with process:
            output, stopped, taken = _read(process, WALL_FACTOR * seconds)
        said = output.replace(started, b"", 1).replace(finished, b"").decode("utf-8", "replace")[-SHOWN_CHARACTERS:]
        if not output.startswith(started):
            raise SapwoodError(f"The sandbox does not start: {said.strip() or 'it says nothing'}. See docs/sandbox.md.")
        return Outcome(stopped or ("passed" if finished in output else _ended(process.returncode)), said, taken)


def in_parallel(work: Callable[[_Given], _Result], items: Iterable[_Given]) -> list[_Result]:
    """Does the work for every item, as many at once as there are cores, and returns the results in order.

    For work that waits for the sandbox: it is done in threads.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(work, items))


def _namespaces() -> Iterator[str]:
    """Options: nothing of the machine's processes, users, network and names; no rights; ends with this process."""
    for name in ("ipc", "pid", "net", "uts", "cgroup"):
        yield f"--unshare-{name}"
    yield from ("--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL")
    if os.geteuid() == 0:
        # In a namespace of users root would stay root outside of it. Without one, it becomes nobody for good.
        yield from ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    else:
        yield from ("--unshare-user", "--uid", str(inside.NOBODY), "--gid", str(inside.NOBODY))


def _files(home: Path, interpreter: Path) -> Iterator[str]:
    """Options: the files that Python needs, to be read, and a small empty directory. There is no `/proc`."""
    yield from _bind("--ro-bind", Path("/usr"))
    for path in (Path("/lib"), Path("/lib64")):
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        else:
            yield from _bind("--ro-bind", path)
    yield from _bind("--ro-bind", Path("/etc/ld.so.cache"))
    if not home.is_relative_to("/usr"):
        for path in (interpreter, *sorted({home / "lib", home / sys.platlibdir})):
            yield from _bind("--ro-bind", path)
    for device in ("null", "random", "urandom"):
        yield from _bind("--dev-bind", Path("/dev", device))
    yield from ("--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", "/tmp", "--remount-ro", "/")
    yield from ("--chdir", "/tmp", "--clearenv")
    for name, value in {"HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}.items():
        yield from ("--setenv", name, value)


def _bind(how: str, path: Path) -> Iterator[str]:
    """Shows a file or directory of the machine in its place, if there is one."""
    if path.exists():
        for parent in reversed(path.parents):  # those that bubblewrap makes by itself nobody may enter
            yield from ("--dir", str(parent))
        yield from (how, str(path), str(path))


@contextmanager
def _file(content: bytes) -> Iterator[int]:
    """A file in memory, open for reading."""
    file = os.memfd_create("sandbox")
    try:
        os.write(file, content)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _read(process: subprocess.Popen[bytes], wall_seconds: float) -> tuple[bytes, Ended | None, float]:
    """What a process prints until its end, or until it must be stopped and why; and how long it took."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    output = bytearray()
    stopped: Ended | None = None
    began = time.monotonic()
    deadline = began + START_SECONDS
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    try:
        while True:
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                stopped = "out of time"
                break
            block = os.read(pipe, 2**16)
            if not block:
                break
            if not output:
                began = time.monotonic()
                deadline = began + wall_seconds
            output += block
            if len(output) > OUTPUT_BYTES:
                stopped = "too much output"
                break
    finally:
        process.kill()
    taken = time.monotonic() - began
    while os.read(pipe, 2**16):  # until its first process is gone, which takes all others with it
        pass
    return bytes(output), stopped, taken


def _ended(status: int) -> Ended:
    """How a program ended that did not run to its end, from the status that bubblewrap gives."""
    if status > 128:
        return "out of time" if status - 128 == signal.SIGXCPU else "crashed"
    if status == inside.OUT_OF_MEMORY:
        return "out of memory"
    return "failed" if status == 1 else "ended early"
