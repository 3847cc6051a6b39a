"""`python -m sapwood`, `torchrun -m sapwood`, and the command `sapwood`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

INTERRUPTED = "Interrupted. Nothing that was finished is lost; the same command continues."
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def main() -> None:
    """Runs the command line. Ctrl-C while its modules load ends the process at once: nothing is begun by then."""
    _end_with_agent()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from sapwood.cli.main import load
    from sapwood.cli.main import main as run

    load(sys.argv[1:])
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except SystemExit as ended:
        # typer turns Ctrl-C into a silent exit.
        if isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt):
            _leave(signal.SIGINT, None)
        raise


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(sys.stderr.fileno(), f"{INTERRUPTED}\n".encode())
    os._exit(128 + number)


def _end_with_agent() -> None:
    """Has Linux kill this rank when torchrun's agent ends, however that does.

    Ranks without their agent would train on, next to those of a new start. Nothing is lost but time.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    main()
