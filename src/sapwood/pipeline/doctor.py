"""What this machine can do, and what to change about it: the hardware, the tools, the limits, the versions."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sapwood.errors import SapwoodError, argument
from sapwood.report.wording import size
from sapwood.sandbox.execute import Sandbox

WRITTEN_BYTES = 64 * 2**20
"""Enough to outlast the caches of small disks' controllers, and a second on a slow one."""
SLOW_BYTES = 100e6
"""Bytes a second. At 100 MB/s the checkpoint of a 1B model with AdamW's moments in fp32 (12 GB) takes two minutes."""
FEW_FILES = 1024
"""What Linux allows a process by default, and enough."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about this machine."""

    what: str
    found: str
    remedy: str | None = None
    """What to do about it; None where it is as it should be."""


@dataclass(frozen=True, slots=True)
class Quirk:
    """What a version of a library is known to do: `findings/SCRIPT.sh` shows it."""

    script: str
    package: str
    version: str
    does: str
    remedy: str | None
    """What is left to the user; None where Sapwood goes round it."""


QUIRKS: Final = (
    Quirk(
        "datasets-options-become-times",
        "datasets",
        "5.2.0",
        "reads options that look like dates as moments in time",
        "Give `features=` to `load_dataset` in code of your own.",
    ),
    Quirk(
        "fsspec-http-unique-key",
        "fsspec",
        "2026.9.0",
        "has one key for all versions of a file over HTTP",
        None,
    ),
    Quirk(
        "lm-eval-appended-end",
        "lm-eval",
        "0.4.13",
        "shifts the scored tokens where a tokenizer appends an end",
        None,
    ),
    Quirk(
        "lm-eval-words-without-spaces",
        "lm-eval",
        "0.4.13",
        "fails at `word_perplexity` of Chinese",
        "Leave `word_perplexity` out of tasks of your own; bits per byte is there.",
    ),
    Quirk(
        "math-verify-powers",
        "math-verify",
        "0.9.0",
        "reads 6.02×10^23 as 6.02",
        None,
    ),
    Quirk("opencc-there-and-back", "OpenCC", "1.4.2", "does not come back to the text it began with", None),
    Quirk(
        "peft-all-linear-and-routers",
        "peft",
        "0.21.2",
        "adapts routers and experts with `all-linear`",
        None,
    ),
    Quirk("reasoning-gym-hash-seed", "reasoning-gym", "0.1.25", "gives other items in another process", None),
    Quirk(
        "torch-compile-of-a-checkpoint-partial",
        "torch",
        "2.13.0",
        "leaves a layer whose forward is a partial of `checkpoint` uncompiled",
        None,
    ),
    Quirk(
        "torch-constant-results-twice",
        "torch",
        "2.13.0",
        "does not compile two calls of a function with a constant result",
        None,
    ),
    Quirk(
        "transformers-doge-ties",
        "transformers",
        "5.23.0",
        "lets Doge's logits change with what follows a text",
        "Take another model than Doge, or texts within its `keep_window_size`.",
    ),
    Quirk(
        "transformers-experts-on-meta",
        "transformers",
        "5.23.0",
        "cannot estimate the memory of experts in fp32",
        "Try a mixture of experts for a few steps first: the plan cannot tell its memory.",
    ),
    Quirk(
        "transformers-packed-hybrids",
        "transformers",
        "5.23.0",
        "lets packed documents see each other in hybrid models",
        None,
    ),
    Quirk(
        "transformers-qwen2-tokenizer",
        "transformers",
        "5.23.0",
        "cuts text in Qwen's way whatever tokenizer.json says",
        None,
    ),
    Quirk(
        "transformers-rope-follows-the-batch",
        "transformers",
        "5.23.0",
        "scales positions of a short text by a long one beside it",
        None,
    ),
    Quirk(
        "transformers-tokenizer-of-nothing",
        "transformers",
        "5.23.0",
        "makes a tokenizer of a directory without one",
        None,
    ),
)
"""All that have a script, in order."""


def doctor(runs: Path, installed: Callable[[str], str] = version) -> Iterator[Finding]:
    """Looks at this machine, one finding after the other. `runs` is the directory whose disk is tried; 64 MiB are
    written beside it, or in the nearest directory above it that there is, and removed."""
    yield from _packages(installed)
    yield from _gpus()
    yield from _tools()
    yield from _limits()
    yield _disk(runs)
    yield from _quirks(installed)


def _packages(installed: Callable[[str], str]) -> Iterator[Finding]:
    yield Finding("python", platform.python_version())
    for name in ("torch", "transformers"):
        yield Finding(name, installed(name))


def _gpus() -> Iterator[Finding]:
    import torch

    driver = _driver()
    if not torch.cuda.is_available():
        yield Finding("GPU", *_without_gpu(driver, torch.version.cuda or torch.version.hip))
        yield _kernels_of_cpu()
        return
    yield Finding("driver", driver or "not known")
    for place in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(place)
        capability = torch.cuda.get_device_capability(place)
        shown = f"{found.name}, {size(found.total_memory)}, capability {capability[0]}.{capability[1]}"
        yield Finding(f"GPU {place}", shown)
        yield _kernels_of_gpu(place, capability)
    if find_spec("triton") is None:
        yield Finding("Triton", "not installed", "`pip install triton`: without it nothing is compiled.")


def _driver() -> str | None:
    """The version of NVIDIA's driver, where its own tool finds one."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(
            [command, "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.splitlines()
        return said[0].strip() if said else None
    return None


def _without_gpu(driver: str | None, built_for: str | None) -> tuple[str, str | None]:
    """What is found, and what to do, where torch sees no GPU: NVIDIA's `driver`, and what torch was `built_for`."""
    if driver is None:
        return "none", "A CPU is enough for small models alone; `sapwood plan RECIPE --gpu H100` plans for a GPU."
    if built_for is None:
        return (
            f"there is a driver ({driver}), and torch was built for CPUs",
            "Install a build of torch for CUDA: https://pytorch.org/get-started/locally has the command.",
        )
    return (
        f"there is a driver ({driver}), and torch for CUDA {built_for} cannot use it",
        "Update the driver, take a torch built for an earlier CUDA, or look at CUDA_VISIBLE_DEVICES.",
    )


def _kernels_of_gpu(place: int, capability: tuple[int, int]) -> Finding:
    what = f"attention on GPU {place}"
    if capability < (8, 0):
        return Finding(
            what,
            "no FlashAttention and no fast bf16 (capability 8.0 is needed)",
            "Write `precision: fp32` and short sequences, or take a GPU since Ampere (A100, RTX 3090, L4).",
        )
    return Finding(what, "FlashAttention by the bounds of documents, in bf16")


def _kernels_of_cpu() -> Finding:
    import torch

    from sapwood.device.precision import autocast_type

    fast = "fast" if autocast_type("auto", torch.device("cpu")) else "no fast"
    instructions = torch.backends.cpu.get_cpu_capability()
    return Finding("CPU", f"{instructions}, {fast} bf16, {torch.get_num_threads()} threads")


def _tools() -> Iterator[Finding]:
    from sapwood.pipeline.checks import COMPILERS, compiler

    found = compiler()
    remedy = f"Install one of {', '.join(COMPILERS)}: without it nothing is compiled, and steps are slower."
    yield Finding("C++ compiler", found or "none", None if found else remedy)
    try:
        Sandbox.find()
    except SapwoodError as error:
        yield Finding("sandbox", "does not run", str(error))  # it says what to install
    else:
        yield Finding("sandbox", "runs programs")


def _limits() -> Iterator[Finding]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = files != resource.RLIM_INFINITY and files < FEW_FILES
    shown = "no limit" if files == resource.RLIM_INFINITY else f"{files:,}"
    yield Finding("open files", shown, f"Allow more: `ulimit -n {FEW_FILES}`." if few else None)
    largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if largest != resource.RLIM_INFINITY:
        yield Finding("largest file", size(largest), "Allow larger ones: `ulimit -f unlimited`.")
    yield Finding("memory", size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))


def _disk(runs: Path) -> Finding:
    place = next(parent for parent in (runs.absolute(), *runs.absolute().parents) if parent.is_dir())
    free = size(shutil.disk_usage(place).free)
    block = os.urandom(2**20)  # what can be compressed flatters disks that do so
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            started = time.monotonic()
            for _ in range(WRITTEN_BYTES // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.monotonic() - started
    except OSError as error:
        return Finding("disk", f"{place} cannot be written: {error.strerror}", f"Name another with {argument('runs')}.")
    return disk_finding(place, free, WRITTEN_BYTES / max(seconds, 1e-9))


def disk_finding(place: Path, free: str, speed: float) -> Finding:
    """About a disk that takes `speed` bytes a second."""
    remedy = None
    if speed < SLOW_BYTES:
        faster = f"name a faster disk with {argument('runs')}"
        remedy = f"Checkpoints will take long: {faster}, and copy them (`checkpoints.mirror`)."
    return Finding("disk", f"{place} takes {speed / 1e6:,.0f} MB/s, {free} free", remedy)


def _quirks(installed: Callable[[str], str]) -> Iterator[Finding]:
    for quirk in QUIRKS:
        with suppress(PackageNotFoundError):
            if installed(quirk.package).partition("+")[0] == quirk.version:
                found = quirk.does if quirk.remedy else f"{quirk.does}; Sapwood goes round it"
                yield Finding(f"{quirk.package} {quirk.version}", found, quirk.remedy)
