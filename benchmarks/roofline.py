"""What a training step on an H200 would take at least: an estimate, made without a GPU.

    python benchmarks/roofline.py                     # prints the table
    python benchmarks/roofline.py --write             # and puts it into docs/benchmarks.md
    python benchmarks/roofline.py --only 1B

The real step runs on fake CUDA tensors (`tests/support/fake_gpu.py`), and every operation is counted: its kernels, the
bytes that it reads and writes, its floating point operations. An operation takes the longest of the three at the rates
below; operations follow each other. For compiled code, neighbouring operations between two matrix products are taken as
one, which reads what comes from outside and writes what is used later.

It is no measurement. It knows nothing of caches, of the host between two launches, of memory that runs out, nor of what
is sent between GPUs beyond its bytes. What it is for is to compare two ways of doing the same.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import fake_gpu  # noqa: E402

BANDWIDTH = 4.0e12
"""Bytes a second, of the 4.8e12 of an H200's data sheet: an assumption, as all that follow."""
PRODUCTS, ATTENTION, ATTENTION_BACK = 680e12, 330e12, 270e12
"""Floating point operations a second in bf16, of the 989e12 of the data sheet; those of FlashAttention 2."""
PEAK = 989.4e12
"""By which MFU is reckoned."""
KERNEL, LAUNCH = 2e-6, 6e-6
"""Seconds that the smallest kernel takes, and that the host takes for an operation that is not compiled."""
TO_FUSE = 5
"""Results that a compiled kernel has, about."""
DOCUMENT = 600
"""Tokens of a document, in the middle."""
BEGIN, END = "<!-- roofline -->", "<!-- /roofline -->"

ONE = {
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "tie_word_embeddings": True,
}
EIGHT = ONE | {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "head_dim": 128,
    "tie_word_embeddings": False,
}
FEWER_BITS = {"weights": "bf16", "optimizer": {"kind": "adamw-8bit"}}


WAYS = (("nothing compiled", frozenset[str]()), ("layers compiled", frozenset({"layers"})))
FUSED_UPDATE = ("layers and update compiled", frozenset({"layers", "optimizer"}))


@dataclass(frozen=True)
class Case:
    """A step, and what of it is taken as compiled."""

    name: str
    model: dict[str, Any]
    length: int
    micro_batch: int
    micro_batches: int
    training: dict[str, Any]
    world: int = 1
    ways: tuple[tuple[str, frozenset[str]], ...] = WAYS


CASES = (
    Case("1B, 4,096, one H200", ONE, 4096, 4, 1, {}),
    Case("8B, 8,192, one H200, bf16 and 8-bit", EIGHT, 8192, 1, 1, FEWER_BITS, 1, (*WAYS, FUSED_UPDATE)),
    Case("8B, 8,192, eight H200", EIGHT, 8192, 1, 2, {"activation_checkpointing": "selective"}, 8),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    arguments = parser.parse_args()
    if reason := fake_gpu.why_not():
        raise SystemExit(f"No estimate here: {reason}.")
    fake_gpu.begin(str(fake_gpu.build()))
    lines = [
        "| case | way | launches | GB read and written | GPU, ms | tokens/s a GPU | MFU | host alone, ms | GB sent |",
        "|:--|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for case in CASES:
        if arguments.only in case.name:
            lines += rows(case)
            print("\n".join(lines[-len(case.ways) :]), flush=True)
    if arguments.write:
        page = ROOT / "docs" / "benchmarks.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        page.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


def rows(case: Case) -> list[str]:
    """A line of the table for every way."""
    import fake_steps

    training = {"micro_batch": case.micro_batch, **case.training}
    counts, share, flops = fake_steps.large_step(
        training,
        model=case.model,
        world=case.world,
        micro_batches=case.micro_batches,
        length=case.length,
        document=DOCUMENT,
    )
    tokens = case.length * case.micro_batch * case.micro_batches
    lines = []
    for way, compiled in case.ways:
        operations = fused(counts.operations, compiled)
        seconds = sum(time_of(operation, share) for operation in operations)
        launches = sum(operation.kernels for operation in operations)
        traffic = sum(operation.traffic for operation in operations) / 1e9
        utilisation = flops * tokens / seconds / PEAK
        host = LAUNCH * len(operations)
        sent = sum(counts.sent.values()) / 1e9
        lines.append(
            f"| {case.name} | {way} | {launches:,} | {traffic:,.0f} | {seconds * 1e3:,.0f} | {tokens / seconds:,.0f} | "
            f"{utilisation:.0%} | {host * 1e3:,.0f} | {sent:,.1f} |"
        )
    return lines


def time_of(operation: fake_gpu.Operation, share: float) -> float:
    """Seconds. `share` is what documents leave of attention over whole rows."""
    rate, flops = PRODUCTS, operation.flops
    if "_varlen_attn" in operation.name:
        rate, flops = (ATTENTION_BACK if "backward" in operation.name else ATTENTION), flops * share
    return max(flops / rate, operation.traffic / BANDWIDTH, operation.kernels * KERNEL)


def fused(operations: list[fake_gpu.Operation], compiled: frozenset[str]) -> list[fake_gpu.Operation]:
    """The operations, with those that a compiler would make one kernel of put together."""
    last = {number: at for at, operation in enumerate(operations) for number in operation.read}
    found: list[fake_gpu.Operation] = []
    run: list[fake_gpu.Operation] = []
    for at, operation in enumerate([*operations, None]):
        if operation is not None and operation.part in compiled and not operation.flops:
            run.append(operation)
            continue
        if run:
            found.append(_together(run, last, at))
            run = []
        if operation is not None:
            found.append(operation)
    return found


def _together(run: list[fake_gpu.Operation], last: dict[int, int], end: int) -> fake_gpu.Operation:
    read: dict[int, int] = {}
    written: dict[int, int] = {}
    for operation in run:
        read |= {number: size for number, size in operation.read.items() if number not in written | read}
        written |= operation.written
    # What is not read again is a result of the step, if it was there before, and else never leaves the kernel.
    kept = {number: size for number, size in written.items() if last.get(number, -1) >= end or number in read}
    kernels = min(Counter(operation.kernels for operation in run).total(), max(1, len(kept) // TO_FUSE))
    return fake_gpu.Operation("compiled", run[0].part, kernels, read, kept)


if __name__ == "__main__":
    main()
