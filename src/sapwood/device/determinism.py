"""The same bits each time, on GPUs, as far as torch can."""

from __future__ import annotations

import os

import torch


def use_deterministic_kernels() -> None:
    """Lets torch take kernels alone that add up in the same order each time; others raise RuntimeError.

    To be called before the GPU is first used: cuBLAS reads its variable then. What is left open: another kind of GPU,
    another number of ranks, other releases, and the order in which NCCL adds up where it chooses another algorithm.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Else every new tensor is filled once more than needed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
