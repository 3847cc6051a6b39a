"""Running programs that nobody vouches for.

    program ──> bubblewrap: no network, Python's files alone ──> seccomp ──> interpreter ──> Outcome

- `Sandbox` (`execute`): finds bubblewrap, tries itself, runs one program with limits of time and memory.
- `system_call_filter` (`seccomp`): the kernel's filter. `inside`: what runs around the program in the sandbox.

Where bubblewrap is not installed, `find` raises SapwoodError, and nothing is run instead:

>>> from sapwood.sandbox.execute import Outcome, Sandbox
>>> sandbox = Sandbox.find()  # doctest: +SKIP
>>> sandbox.run("assert 1 + 1 == 2", timeout_seconds=2, memory_bytes=2**28).passed  # doctest: +SKIP
True
>>> Outcome("passed", "", 0.1).passed, Outcome("out of time", "", 2.0).passed
(True, False)
"""
