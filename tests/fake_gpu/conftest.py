"""A process in which there seem to be GPUs, for as long as the tests run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import fake_gpu


@pytest.fixture(scope="session")
def on_a_gpu() -> Iterator[Callable[..., Any]]:
    """Calls a function of `tests/support`, with arguments, where there seem to be GPUs, and gives its result."""
    if reason := fake_gpu.why_not():
        pytest.skip(reason)
    library = str(fake_gpu.build())
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=fake_gpu.begin, initargs=(library,)) as pool:
        yield lambda function, *arguments, **others: pool.submit(function, *arguments, **others).result()
