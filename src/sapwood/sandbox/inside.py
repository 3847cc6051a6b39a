"""What runs inside the sandbox around a program: its text is handed to the interpreter there."""

# Imports nothing that it can do without: this is most of what a short program costs.
import os
import resource
import site
import sys

NOBODY = 65534
WORD_BYTES = 32
OUT_OF_MEMORY, ENDED_EARLY = 3, 4
"""Exit statuses, beside 1 for any other exception."""
LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 16 * 2**20,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_NPROC: 256,
}
"""The largest file in bytes, open files, and threads: there are no further processes."""
_NAME = "solution"


def main() -> None:
    """Reads what `Sandbox.run` gives; says one word before the program runs, and another after its last line.

    The program is a module called `solution`, so that tests may import from it.
    """
    exit_now, read, write = os._exit, os.pread, os.write  # before the program can change what these names mean
    given, report = os.dup(0), os.dup(1)
    started, seconds, memory_bytes, program, end = _take(given)
    _become_nobody()
    _limit(seconds, memory_bytes)
    _prepare()
    write(report, started)
    error = _run(program)
    try:
        sys.stdout.flush()
        if error is not None:
            _explain(error, program)
    finally:  # whatever the program wanted to happen at its exit, or goes on doing in threads
        if error is None:
            write(report, read(given, WORD_BYTES, end))
        exit_now(_status(error))


def _take(given: int) -> tuple[bytes, int, int, str, int]:
    """The first word, the limits, the program, and where the last word stands.

    The last word is not kept, so that a program that prints all it can see does not say it.
    """
    everything = os.pread(given, os.fstat(given).st_size, 0)
    end = len(everything) - WORD_BYTES
    started, seconds, memory_bytes, program = everything[:end].split(b"\n", 3)
    return started, int(seconds), int(memory_bytes), program.decode(), end


def _become_nobody() -> None:
    """Where root started the sandbox, it is still root here; anybody else has become nobody in a namespace."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _limit(seconds: int, memory_bytes: int) -> None:
    for limit, value in LIMITS.items():
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # a signal first, and the end a second later
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _prepare() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    site.setquit()  # `exit` and `quit`, which some programs take for part of the language
    sys.argv = [f"{_NAME}.py"]
    sys.modules[_NAME] = type(sys)(_NAME)


def _run(program: str) -> BaseException | None:
    try:
        exec(compile(program, f"{_NAME}.py", "exec", dont_inherit=True), sys.modules[_NAME].__dict__)
    except BaseException as error:
        return error
    return None


def _status(error: BaseException | None) -> int:
    if isinstance(error, SystemExit):
        return ENDED_EARLY
    return OUT_OF_MEMORY if isinstance(error, MemoryError) else int(error is not None)


def _explain(error: BaseException, program: str) -> None:
    import linecache
    import traceback

    linecache.cache[f"{_NAME}.py"] = (len(program), None, program.splitlines(keepends=True), f"{_NAME}.py")
    traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))


if __name__ == "__main__":
    main()
