"""Hostile programs, all really run: none may do harm, and none may pass that did not run to its end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxes import needs_sandbox
from sapwood.errors import SapwoodError
from sapwood.sandbox import execute as module
from sapwood.sandbox.execute import OUTPUT_BYTES, SCRATCH_BYTES, SHOWN_CHARACTERS, Outcome, Sandbox, in_parallel

SOURCE = Path(module.__file__).parents[1]
Run = Callable[[str], Outcome]


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs a program with a second of time and 256 MiB."""
    sandbox = Sandbox.find()
    return lambda program: sandbox.run(textwrap.dedent(program), timeout_seconds=1, memory_bytes=2**28)


def on_this_machine(word: str) -> list[int]:
    """Processes that have a word on their command line, apart from this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if word in (path / "cmdline").read_text() and int(path.name) != os.getpid():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def gone(word: str) -> bool:
    """Waits until no process has the word; gives up after ten seconds."""
    for _ in range(1000):
        if not on_this_machine(word):
            return True
        time.sleep(0.01)
    return False


# What ends a program


@needs_sandbox
@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("print('well')", "passed"),
        ("def f(n):\n    return n + 1\n\nassert f(1) == 2", "passed"),
        ("from __future__ import annotations\nfrom solution import __name__ as n\nassert n == 'solution'", "passed"),
        ("import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()", "passed"),
        ("import dataclasses, typing, enum, re, json, decimal, asyncio, sqlite3, hashlib", "passed"),
        ("import asyncio\nasync def f(): return 1\nassert asyncio.run(f()) == 1", "passed"),
        ("assert 1 + 1 == 3", "failed"),
        ("def f(:", "failed"),
        ("\0", "failed"),
        ("\ud800", "failed"),
        ("import numpy", "failed"),
        ("input()", "failed"),
        ("def f(): f()\nf()", "failed"),
        ("1 / 0", "failed"),
        ("raise KeyboardInterrupt", "failed"),
        ("while True: pass", "out of time"),
        ("import time\ntime.sleep(60)", "out of time"),
        ("10 ** 10 ** 10", "out of time"),
        ("import re\nre.match('(a+)+$', 'a' * 50 + 'b')", "out of time"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "out of time"),
        ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", "out of time"),
        ("x = bytearray(2**30)", "out of memory"),
        ("x = []\nwhile True: x.append(bytes(2**20))", "out of memory"),
        ("while True: print('x' * 1000)", "too much output"),
        ("import os\nwhile True: os.write(2, b'x' * 10**5)", "too much output"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("import os\nos.abort()", "crashed"),
    ],
)  # fmt: skip
def test_how_programs_end(run: Run, program: str, ended: str) -> None:
    outcome = run(program)
    assert (outcome.ended, outcome.passed) == (ended, ended == "passed"), outcome.output


@needs_sandbox
def test_deep_recursion_ends(run: Run) -> None:
    assert not run("import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()").passed


@needs_sandbox
@pytest.mark.parametrize(
    "early",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "exit(0)",
        "quit()",
        "raise SystemExit",
        "import threading, os; threading.Thread(target=os._exit, args=(0,)).start()\nimport time; time.sleep(1)",
        "import atexit, os; atexit.register(os._exit, 0)\n1 / 0",
        "import sys, os; sys.excepthook = lambda *_: os._exit(0)\n1 / 0",
        "import signal, os; signal.signal(14, lambda *_: os._exit(0)); signal.setitimer(0, 0.1)\nwhile True: pass",
        "import os; os.execv('/usr/bin/env', ['env'])",
        "import os; os.closerange(0, 64)\n1 / 0",
        "class E(Exception):\n    def __str__(self): import os; os._exit(0)\nraise E",
        "import os; os._exit = os.pread = os.write = print\nassert False",
        "import builtins; builtins.AssertionError = type('E', (BaseException,), {'__new__': exit})\nassert False",
        "import sys; sys.modules.clear()\nassert False",
        "import sys; sys.stdout = sys.stderr = None\nassert False",
    ],
)
def test_a_program_that_ends_itself_has_not_passed(run: Run, early: str) -> None:
    outcome = run(f"{early}\nassert 1 + 1 == 3")
    assert outcome.ended in ("ended early", "failed")


@needs_sandbox
@pytest.mark.parametrize(
    "seen",
    [
        "import sys; f = sys._getframe()\nwhile f: print(f.f_locals, f.f_globals); f = f.f_back",
        "import gc; print([o for o in gc.get_objects() if type(o) is not type(gc)][-2000:])",
        "import sys, os; print(sys.argv, sys.orig_argv, os.environ)",
        "import cgitb; cgitb.enable(format='text')\ntry: 1 / 0\nexcept Exception: cgitb.handler()",
    ],
)
def test_a_program_that_prints_all_it_sees_has_not_passed(run: Run, seen: str) -> None:
    assert run(f"{seen}\nassert False").ended in ("failed", "too much output")


@needs_sandbox
def test_what_it_would_do_at_its_exit_does_not_happen(run: Run) -> None:
    late = "import atexit, threading, time\natexit.register(print, 'late')\n"
    outcome = run(late + "threading.Thread(target=time.sleep, args=(60,)).start()\nprint('done')")
    assert (outcome.ended, outcome.output) == ("passed", "done\n")


@needs_sandbox
def test_the_output_is_its_end_with_the_line_that_failed(run: Run) -> None:
    outcome = run("print('é' * 5000)\nassert 1 == 2, 'they differ'")
    assert len(outcome.output) == SHOWN_CHARACTERS
    assert outcome.output.startswith("é")
    assert "line 2, in <module>\n    assert 1 == 2, 'they differ'\n" in outcome.output
    assert outcome.output.endswith("AssertionError: they differ\n")
    assert "<string>" not in outcome.output
    assert run("import os; os.write(1, b'\\xff')").output == "�"
    assert run(f"print('x' * {OUTPUT_BYTES - 1000})").passed


# What it can reach


@needs_sandbox
def test_it_sees_the_files_of_python_and_no_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    paths = ["/etc/shadow", "/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/1", f"/proc/{os.getpid()}",
             "/sys", "/run", "/var", "/home", "/dev/tty", "/dev/shm", "/dev/mem", str(Path.home() / ".ssh"),
             str(Path.home() / ".bashrc"), str(tmp_path), str(SOURCE), str(Path.cwd())]  # fmt: skip
    outcome = run(f"""
        import os
        for path in {paths}:
            assert not os.path.exists(path), path
        assert os.listdir(os.getcwd()) == [], os.listdir()
        assert set(os.listdir("/dev")) == {{"null", "random", "urandom"}}
        assert set(os.listdir("/etc")) <= {{"ld.so.cache"}}
    """)
    assert outcome.passed, outcome.output


@needs_sandbox
def test_it_is_nobody_and_has_no_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPWOOD_TEST_KEY", "secret")
    outcome = run("""
        import os, socket
        assert os.getresuid() == os.getresgid() == (65534,) * 3
        assert set(os.getgroups()) <= {65534}
        assert set(os.environ) <= {"HOME", "LANG", "PWD", "PYTHONHASHSEED", "PYTHONUTF8"}, os.environ
        assert socket.gethostname() == "sandbox"
        for become in (os.setuid, os.setgid, lambda zero: os.setgroups([zero])):
            try:
                become(0)
            except PermissionError:
                continue
            raise AssertionError(become)
    """)
    assert outcome.passed, outcome.output


@needs_sandbox
def test_it_can_write_to_a_small_directory_alone(run: Run) -> None:
    program = f"""
        import os, sys
        written = []
        for directory, names, _ in os.walk("/"):
            try:
                open(directory + "/x", "w").close()
                written.append(directory)
            except OSError:
                pass
        assert written == ["/tmp"], written
        for path in (sys.executable, os.__file__):
            for change in (os.unlink, lambda path: os.chmod(path, 0o777), lambda path: open(path, "r+b")):
                try:
                    change(path)
                except OSError:
                    continue
                raise AssertionError(path)
        written = 0
        try:
            for number in range(100):
                with open(f"/tmp/{{number}}", "wb", buffering=0) as file:
                    while True:
                        try:
                            written += file.write(bytes(2**20))
                        except OSError as error:
                            if error.errno == 28:
                                raise
                            break
        except OSError:
            pass
        assert {SCRATCH_BYTES // 2} < written <= {SCRATCH_BYTES}, written
    """
    outcome = Sandbox.find().run(textwrap.dedent(program), timeout_seconds=30, memory_bytes=2**28)
    assert outcome.passed, outcome.output
    assert run("import os; assert os.listdir('/tmp') == []").passed


@needs_sandbox
def test_it_reaches_no_network(run: Run, tmp_path: Path) -> None:
    heard: list[object] = []
    servers = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    servers[1].bind(str(tmp_path / "socket"))
    servers[2].bind("\0sapwood-test")  # a name that belongs to a network, and to no file
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    for server in servers:
        server.listen()
        threading.Thread(target=lambda server=server: heard.append(server.accept()), daemon=True).start()
    tcp, udp = servers[0].getsockname(), datagrams.getsockname()
    outcome = run(f"""
        import socket
        for family, address in ((2, {tcp!r}), (2, ("192.0.2.1", 80)), (1, {str(tmp_path / "socket")!r}),
                                (1, "\\0sapwood-test")):
            try:
                socket.socket(family, socket.SOCK_STREAM).connect(address)
            except OSError:
                continue
            raise AssertionError(address)
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", {udp!r})
        for family in (16, 17, 38, 40):  # netlink, packet, alg, vsock
            try:
                socket.socket(family, socket.SOCK_RAW if family < 38 else socket.SOCK_STREAM)
            except PermissionError:
                continue
            raise AssertionError(family)
        try:
            socket.getaddrinfo("example.org", 80)
        except OSError:
            pass
        else:
            raise AssertionError("names are known")
    """)
    assert outcome.passed, outcome.output
    datagrams.settimeout(0.1)
    with pytest.raises(TimeoutError):
        datagrams.recv(10)
    assert heard == []
    for server in (*servers, datagrams):
        server.close()


@needs_sandbox
def test_it_starts_no_processes_and_few_threads(run: Run) -> None:
    outcome = run("""
        import os, subprocess, multiprocessing, threading
        def start():
            multiprocessing.get_context("fork").Process(target=print).start()
        for attempt in (os.fork, lambda: subprocess.run(["/usr/bin/env"]), start,
                        lambda: os.posix_spawn("/usr/bin/env", ["env"], {})):
            try:
                attempt()
            except PermissionError:
                continue
            raise AssertionError(attempt)
        assert os.system("/usr/bin/env") != 0
        assert os.getpid() == 2 and os.getppid() == 1
        started = 0
        stop = threading.Event()
        threading.stack_size(2**16)
        try:
            for _ in range(10_000):
                threading.Thread(target=stop.wait, daemon=True).start()
                started += 1
        except RuntimeError:
            pass
        assert 0 < started < 256, started
    """)
    assert outcome.passed, outcome.output
    bomb = run("import os\nwhile True:\n    try:\n        os.fork()\n    except OSError: pass")
    assert bomb.ended == "out of time"


@needs_sandbox
def test_it_signals_no_others(run: Run) -> None:
    mine = os.getpid()
    outcome = run(f"""
        import os, signal
        for target in ({mine}, {os.getppid()}, 10**5):
            try:
                os.kill(target, 0)
            except ProcessLookupError:
                continue
            raise AssertionError(target)
        try:
            os.kill(1, signal.SIGKILL)
        except PermissionError:
            pass
        try:
            os.kill(-1, signal.SIGTERM)
        except (ProcessLookupError, PermissionError):
            pass
    """)
    assert outcome.passed, outcome.output


@needs_sandbox
def test_it_leaves_nothing_behind(run: Run) -> None:
    outcome = run("""
        import os
        os.close(1), os.close(2)
        os.setpgid(0, 0)
        os.execv("/usr/bin/sleep", ["sleep", "71077.5"])
    """)
    assert outcome.ended == "out of time"
    assert gone("sleep\00071077.5")


@needs_sandbox
def test_it_dies_with_its_parent() -> None:
    program = "import os; os.execv('/usr/bin/sleep', ['sleep', '72077.5'])"
    code = (
        "from sapwood.sandbox.execute import Sandbox\n"
        f"Sandbox.find().run({program!r}, timeout_seconds=60, memory_bytes=2**28)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(SOURCE.parent)})
    while parent.poll() is None and not on_this_machine("sleep\00072077.5"):
        time.sleep(0.01)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone("sleep\00072077.5")


CALLS = """
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#define TRY(...) errno = 0; printf("%s: %s\\n", #__VA_ARGS__, syscall(__VA_ARGS__) < 0 ? strerror(errno) : "DONE")
int main(void) {
    if (getuid() != 65534 || access("/proc", F_OK) == 0) return 1;  /* elsewhere than in the sandbox this does harm */
    struct timespec now = {0};
    char data[256] = {0};
    TRY(SYS_ptrace, 16, 1, 0, 0);
    TRY(SYS_process_vm_readv, 1, data, 1, data, 1, 0);
    TRY(SYS_process_vm_writev, 1, data, 1, data, 1, 0);
    TRY(SYS_unshare, CLONE_NEWUSER);
    TRY(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0);
    TRY(SYS_clone, 17, 0, 0, 0, 0);
    TRY(SYS_clone3, data, 88);
    TRY(SYS_setns, 0, 0);
    TRY(SYS_mount, "none", "/tmp", "tmpfs", 0, 0);
    TRY(SYS_umount2, "/usr", MNT_DETACH);
    TRY(SYS_mount, 0, "/", 0, MS_REMOUNT | MS_BIND, 0);
    TRY(SYS_pivot_root, "/tmp", "/tmp");
    TRY(SYS_chroot, "/tmp");
    TRY(SYS_clock_settime, CLOCK_REALTIME, &now);
    TRY(SYS_settimeofday, &now, 0);
    TRY(SYS_sethostname, "x", 1);
    TRY(SYS_reboot, 0xfee1dead, 672274793, 0x1234567, 0);
    TRY(SYS_memfd_create, "x", 0);
    TRY(SYS_shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    TRY(SYS_msgget, IPC_PRIVATE, IPC_CREAT | 0600);
    TRY(SYS_bpf, 0, data, sizeof data);
    TRY(SYS_perf_event_open, data, 0, -1, -1, 0);
    TRY(SYS_userfaultfd, 1);
    TRY(SYS_io_uring_setup, 1, data);
    TRY(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -4, 1);
    TRY(SYS_add_key, "user", "x", "x", 1, -4);
    TRY(SYS_init_module, data, 1, "");
    TRY(SYS_socket, 40, 1, 0);
#ifdef __x86_64__
    TRY(SYS_fork);
    TRY(SYS_vfork);
    TRY(SYS_iopl, 3);
    fflush(stdout);
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");  /* getpid by the system calls of 32 bits */
    printf("32 bits: DONE %ld\\n", result);
#endif
    return 0;
}
"""


@needs_sandbox
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler (cc)")
def test_system_calls_that_are_no_business_of_a_program(run: Run, tmp_path: Path) -> None:
    (tmp_path / "calls.c").write_text(CALLS)
    subprocess.run(["cc", "-w", "-static", "-o", tmp_path / "calls", tmp_path / "calls.c"], check=True)
    binary = (tmp_path / "calls").read_bytes()
    before = time.time()
    outcome = run(f"""
        import os, zlib, base64
        with open("/tmp/calls", "wb") as file:
            file.write({binary!r})
        os.chmod("/tmp/calls", 0o755)
        os.execv("/tmp/calls", ["calls"])
    """)
    answers = dict(line.rsplit(": ", 1) for line in outcome.output.splitlines())
    assert len(answers) >= 28, outcome.output
    assert set(answers.values()) <= {"Operation not permitted", "Function not implemented"}, outcome.output
    assert outcome.ended in ("crashed", "ended early")
    assert abs(time.time() - before) < 3600


# Around it


@needs_sandbox
def test_it_says_the_same_every_time_and_in_order() -> None:
    sandbox = Sandbox.find()
    programs = [f"print({number}, {{'a', 'b', 'c', 'd'}})\nassert {number} % 3" for number in range(12)]

    def run(program: str) -> tuple[str, str]:
        outcome = sandbox.run(program, timeout_seconds=5, memory_bytes=2**28)
        return outcome.ended, outcome.output

    found = in_parallel(run, programs)
    assert found == in_parallel(run, programs) == [run(program) for program in programs]
    assert [ended == "passed" for ended, _ in found] == [bool(number % 3) for number in range(12)]


@needs_sandbox
@settings(max_examples=25)
@given(st.text())
def test_any_text_has_an_outcome(text: str) -> None:
    outcome = Sandbox.find().run(text, timeout_seconds=5, memory_bytes=2**28)
    try:
        compile(text, "text", "exec")
    except (SyntaxError, ValueError):
        assert outcome.ended == "failed"


def test_without_bubblewrap_nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SapwoodError, match=r"bwrap is missing\. Install bubblewrap"):
        Sandbox.find()


def test_where_it_does_not_work_the_kernel_is_quoted(stand_ins: Callable[[dict[str, str]], Path]) -> None:
    stand_ins({"bwrap": "echo 'bwrap: No permissions to create new namespace' >&2; exit 1"})
    with pytest.raises(SapwoodError, match=r"does not start: bwrap: No permissions.*docs/sandbox\.md"):
        Sandbox.find()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv to be less")
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap, which is refused the rights here")
def test_root_of_a_container_without_rights_is_refused() -> None:
    code = "from sapwood.sandbox.execute import Sandbox; Sandbox.find()"
    less = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-all", sys.executable, "-c", code]
    done = subprocess.run(
        less, env={**os.environ, "PYTHONPATH": str(SOURCE.parent)}, capture_output=True, text=True, check=False
    )
    assert "The sandbox does not start: bwrap: Creating new namespace failed" in done.stderr


def test_one_that_holds_nothing_in_is_refused(stand_ins: Callable[[dict[str, str]], Path]) -> None:
    stand_ins({"bwrap": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'})
    with pytest.raises(SapwoodError, match="does not hold what is in it"):
        Sandbox.find()


@needs_sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as an ordinary user already")
def test_it_works_for_an_ordinary_user() -> None:
    python = Path("/usr/bin/python3")
    if (
        not python.exists()
        or subprocess.run([python, "-c", "import sys; assert sys.version_info >= (3, 11)"]).returncode
    ):
        pytest.skip("needs a Python of the system, 3.11 or later")
    code = (
        "from sapwood.sandbox.execute import Sandbox; sandbox = Sandbox.find();"
        "assert '--unshare-user' in sandbox.command;"
        "print(sandbox.run('import os, threading; print(os.getresuid())', timeout_seconds=5, memory_bytes=2**28))"
    )
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(SOURCE, Path(copy, "sapwood"), ignore=shutil.ignore_patterns("[!_]*/"))
        Path(copy).chmod(0o755)
        done = subprocess.run(
            [python, "-c", code],
            user=12345,
            group=12345,
            extra_groups=[],
            env={"PYTHONPATH": copy, "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "ended='passed', output='(65534, 65534, 65534)" in done.stdout, done.stderr
