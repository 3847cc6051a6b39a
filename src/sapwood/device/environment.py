"""On what a run was made: versions and hardware, for the report."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch

from sapwood import __version__

LIBRARIES = ("torch", "transformers", "tokenizers", "fastokens", "datatrove", "numpy")


def describe_environment(device: torch.device, ranks: int) -> dict[str, str | int]:
    """The versions of what took part, and the hardware, as a flat dictionary."""
    return {
        "sapwood": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "ranks": ranks,
    }
