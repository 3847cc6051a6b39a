"""Has formulas compared by a process of its own, so that no formula can hold up this one or take it down."""

from __future__ import annotations

import atexit
import importlib.util
import os
import select
import subprocess
import sys
import threading
from functools import cache

import orjson

from sapwood.answers import formulas
from sapwood.errors import SapwoodError

_START_SECONDS = 120.0
_ANSWER_SECONDS = 120.0
"""Only for a machine that does not get on; what a comparison may take is limited by `formulas.CPU_SECONDS`."""
_ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH")
"""What the process gets to see; no key of any server is among it."""


class Grader:
    """The process with math-verify: started when it is first needed, and again when a formula has killed it."""

    def __init__(self) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise SapwoodError("Formulas are compared by the package math-verify: pip install 'sapwood[synthesis]'")
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def compare(self, given: str, other: str) -> bool | None:
        """Whether two formulas in LaTeX are the same; None where that cannot be found out."""
        return self._ask([given, other])

    def is_formula(self, text: str) -> bool:
        """Whether it can be read as a formula."""
        return bool(self._ask([text]))

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, question: list[str]) -> bool | None:
        with self._lock:
            if self._process is None:
                self._process = self._start()
            answer = self._exchange(self._process, question, _ANSWER_SECONDS)
            if answer is None:
                self.close()
            return None if answer is None else orjson.loads(answer)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", formulas.__name__]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        if self._exchange(process, None, _START_SECONDS) != orjson.dumps(formulas.READY):
            process.kill()
            raise SapwoodError(f"Formulas cannot be compared: `{' '.join(command)}` does not start.")
        return process

    @staticmethod
    def _exchange(process: subprocess.Popen[bytes], question: list[str] | None, seconds: float) -> bytes | None:
        """A line of answer; None where the process has ended, or takes too long."""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if question is not None:
                process.stdin.write(orjson.dumps(question) + b"\n")
                process.stdin.flush()
        except BrokenPipeError:
            return None
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else b""
        return line.rstrip(b"\n") if line.endswith(b"\n") else None


@cache
def grader() -> Grader:
    """The one that all share. Raises SapwoodError where math-verify is not installed."""
    return Grader()
