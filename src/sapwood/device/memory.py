"""How much memory the process uses, and how it asks the system for it."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

import torch

VARIABLES = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
"""With which a user tells glibc what it keeps."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 2**31 - 1


def reuse_freed_memory() -> None:
    """Tells the C library to keep the large blocks that tensors give back, for the next tensors.

    By default glibc returns them to the system, which zeroes every page of them again at the next step. Training a
    135M model on two cores is a quarter to a third faster without that (docs/lab-book.md), and holds up to two fifths
    more (docs/memory.md). Does nothing elsewhere than with glibc on Linux, or where its own variables are set.
    """
    if sys.platform != "linux" or VARIABLES & os.environ.keys():
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, 2**30)
    mallopt(_TRIM_THRESHOLD, _LARGEST)


def peak_memory(device: torch.device) -> int:
    """The most bytes of memory used so far, of the GPU or else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
