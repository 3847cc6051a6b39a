"""What the real step asks of a GPU: waits, collectives, launches. See `tests/support/fake_gpu.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fake_steps
from fake_gpu import Counts

pytestmark = pytest.mark.slow

OnAGpu = Callable[..., Counts]
FEWER_BITS = {"weights": "bf16", "optimizer": {"kind": "adamw-8bit"}}


@pytest.mark.parametrize(
    ("world", "training"),
    [(1, {}), (1, FEWER_BITS), (8, {"activation_checkpointing": "full"}), (16, {"parallel": {"sharding": "hybrid"}})],
    ids=["alone", "fewer bits", "sharded", "hybrid"],
)
def test_no_step_waits_for_the_gpu(on_a_gpu: OnAGpu, world: int, training: dict[str, Any]) -> None:
    steps = 2 if training is FEWER_BITS else 1  # the first one makes tables of codes
    counts = on_a_gpu(fake_steps.step, training, world=world, steps=steps)
    assert counts.syncs == []
    assert counts.races == []


def test_the_host_reads_nothing_that_is_still_being_copied(on_a_gpu: OnAGpu) -> None:
    """With `offload` the update runs on the host, and needs the verdict of the guard there."""
    counts = on_a_gpu(fake_steps.step, {"parallel": {"offload": True}})
    assert counts.races == []


def test_copies_of_a_model_agree_on_the_norm(on_a_gpu: OnAGpu) -> None:
    """With it, on how far they clip, and on whether the step is skipped."""
    one, several = (
        on_a_gpu(fake_steps.step, {"parallel": {"sharding": sharding}}, world=16).collectives
        for sharding in ("full", "hybrid")
    )
    assert one["allreduce float32"] == 0
    assert several["allreduce float32"] == 3 + 1  # the gradients of two layers and the rest over the nodes, the norm


def test_a_checkpoint_is_copied_while_the_host_goes_on(on_a_gpu: OnAGpu) -> None:
    counts, again = on_a_gpu(fake_steps.staged)
    assert counts.syncs == []
    assert again


def test_a_sharded_step_sends_what_it_must(on_a_gpu: OnAGpu) -> None:
    counts = on_a_gpu(fake_steps.step, world=8, micro_batches=2)
    # Two layers and the rest, which stays whole until its backward pass: 3 + 2 gathers for each micro-batch.
    assert counts.collectives["allgather_base bfloat16"] == 2 * 5
    assert counts.collectives["reduce_scatter_base float32"] == 3  # once a step, not once a micro-batch
    assert counts.collectives["allreduce float64"] == 1  # the sums of losses
    assert counts.collectives["all_reduce float32"] == 1  # the norm
