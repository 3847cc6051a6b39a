"""A GPU that is not there: the real code runs on it, and what it would be asked to do is counted.

Tensors on `cuda` are fake (`FakeTensorMode`): they have shapes, types and a device, and no numbers. A small library
(`fake_gpu_guard.cpp`) makes the CPU build of torch accept them; streams and events do nothing; other ranks are a
process group of torch's own that answers at once. So a step runs through every line that it would on a GPU, and shows
where the host waits, what is launched and what is sent. It shows no number, no time, and no error that a kernel alone
would raise.

A process that has begun (`begin`) is of no other use: run it in one of its own (`tests/fake_gpu/conftest.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

SOURCE = Path(__file__).with_name("fake_gpu_guard.cpp")
CHIP = "NVIDIA H200"
CAPABILITY = (9, 0)


def why_not() -> str | None:
    """Why there can be no fake GPU here; None where there can. It does not import torch, before which one begins."""
    if sys.platform != "linux":
        return "the guard is built for Linux"
    if runpy.run_path(str(_torch() / "version.py"))["cuda"] is not None:
        return "this build of torch has CUDA, and its own guard"
    return None if shutil.which("c++") else "no C++ compiler (c++) to build the guard"


def build() -> Path:
    """The library of the guard, built once for an installed torch, whose place it knows: a few seconds."""
    torch = _torch()
    content = SOURCE.read_bytes() + (torch / "version.py").read_bytes() + bytes(torch)
    directory = Path(tempfile.gettempdir()) / f"sapwood-fake-gpu-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    library = directory / f"{hashlib.sha256(content).hexdigest()[:16]}.so"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            made = library.with_suffix(".tmp")
            includes = [f"-I{torch / 'include'}", f"-I{torch / 'include' / 'torch' / 'csrc' / 'api' / 'include'}"]
            links = [f"-L{torch / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{torch / 'lib'}"]
            command = ["c++", "-std=c++20", "-shared", "-fPIC", *includes, str(SOURCE), "-o", str(made), *links]
            subprocess.run(command, check=True)
            made.replace(library)
    return library


def _torch() -> Path:
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


class Event:
    """Stands in for `torch.cuda.Event`: everything has happened."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def record(self, *_: Any) -> None:
        pass

    def wait(self, *_: Any) -> None:
        pass

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        waits.append(_place())


class Stream:
    """Stands in for `torch.cuda.Stream`."""

    device_type = "cuda"

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def wait_event(self, *_: Any) -> None:
        pass

    def wait_stream(self, *_: Any) -> None:
        pass

    def record_event(self, *_: Any) -> Event:
        return Event()

    def synchronize(self) -> None:
        waits.append(_place())


waits: list[str] = []
"""Where the host has waited for a stream or an event."""
pinned: dict[int, Any] = {}
"""The storages that were asked to be pinned, by their addresses."""


def faked(mode: Any, record: Any) -> Any:
    """The same record (of dataclasses, tuples and tensors) with fake tensors, which are pinned where its own are."""
    import torch

    if isinstance(record, torch.Tensor):
        made = mode.from_tensor(record)
        return _pin(made) if record.untyped_storage()._cdata in pinned else made
    if isinstance(record, tuple):
        return tuple(faked(mode, part) for part in record)
    if is_dataclass(record) and not isinstance(record, type):
        return replace(record, **{part.name: faked(mode, getattr(record, part.name)) for part in fields(record)})
    return record


def _pin(tensor: Any, *_: Any) -> Any:
    storage = tensor.untyped_storage()
    pinned[storage._cdata] = storage
    return tensor


def begin(library: str) -> None:
    """Makes this process believe in eight GPUs. To be called before torch is imported."""
    ctypes.CDLL(library, ctypes.RTLD_GLOBAL)  # before torch looks for its hooks, which it does once
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    only = Stream()
    answers: dict[str, Any] = {
        "current_stream": only,
        "current_device": 0,
        "device_count": 8,
        "is_available": True,
        "is_initialized": True,
        "get_device_name": CHIP,
        "get_device_capability": CAPABILITY,
        "max_memory_allocated": 0,
        "set_device": None,
        "manual_seed": None,
        "manual_seed_all": None,
        "_lazy_init": None,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, _saying(answer))
    torch.cuda.Stream, torch.cuda.Event = Stream, Event  # type: ignore[misc, assignment]
    torch.cuda.stream = lambda _: contextlib.nullcontext()  # type: ignore[assignment]
    torch.Tensor.pin_memory = _pin  # type: ignore[method-assign, assignment]
    _outside_of_fakes()


def _saying(answer: Any) -> Callable[..., Any]:
    return lambda *_, **__: answer


def _outside_of_fakes() -> None:
    """Lets what needs real numbers on the host have them: places of ranks, and where their parts begin."""
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    from sapwood.training import lowbit, parallel

    def real(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **others: Any) -> Any:
            with unset_fake_temporarily():
                return function(*arguments, **others)

        return run

    parallel.init_device_mesh = real(parallel.init_device_mesh)
    lowbit._first_entry = real(lowbit._first_entry)


def join(world: int, per_node: int | None = None) -> None:
    """Makes this process the first of `world` ranks, of which no other is there."""
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    os.environ.update(WORLD_SIZE=str(world), RANK="0", LOCAL_RANK="0", LOCAL_WORLD_SIZE=str(per_node or min(world, 8)))
    if dist.is_initialized():
        if dist.get_world_size() == world:
            return
        dist.destroy_process_group()
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)


def ranks(world: int) -> Any:
    """The first of `world` ranks, on the first GPU (`sapwood.device.ranks.Ranks`)."""
    import torch

    from sapwood.device.ranks import Ranks

    return Ranks(0, world, torch.device("cuda", 0))


KERNELS = {"aten.logsumexp.default": 6, "torch_attn._varlen_attn_backward.default": 4}
"""Operations of more than one kernel, as far as they matter here."""
A_LAUNCH = 30
"""Tensors that one launch of a `_foreach` or `_fused` operation takes, about (`MultiTensorApply.cuh`)."""
NOTHING = (
    "aten.detach",
    "aten.empty",
    "aten.new_empty",
    "aten.as_strided",
    "aten._unsafe_view",
    "aten.split",
    "aten.resize",
    "aten.lift",
    "aten.unbind",
    "aten.alias",
    "aten.is_",
    "aten._assert",
    "fsdp.all_gather_copy_in",
    "inductor",
    "prim",
)
"""How the names of operations begin that launch nothing."""
READING = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "_unique2", "item"}
"""Operations whose result the host needs before it can go on."""
PARTS = {
    "/transformers/": "layers",
    "training/isolation.py": "layers",
    "training/loss.py": "loss",
    "training/lowbit.py": "optimizer",
    "training/quantise.py": "optimizer",
    "training/rounding.py": "optimizer",
    "optim/adam.py": "optimizer",
    "optim/adamw.py": "optimizer",
    "nn/utils/clip_grad.py": "clip",
    "training/guard.py": "guard",
    "_fully_shard/": "fsdp",
}
"""What a kernel belongs to, by the innermost of these files that called for it; all else is of the layers."""


@dataclass(frozen=True)
class Operation:
    """A call of the GPU."""

    name: str
    part: str
    """Of the step (`PARTS`)."""
    kernels: int
    read: dict[int, int]
    """Bytes of memory that it reads, by the number of the tensor's storage."""
    written: dict[int, int]
    flops: float = 0.0
    """Of a matrix product; of attention, as if every token saw all of its row."""

    @property
    def traffic(self) -> int:
        """Bytes, if it has all that it needs from memory."""
        return sum(self.read.values()) + sum(self.written.values())


@dataclass
class Counts:
    """What a GPU was asked to do."""

    syncs: list[str] = field(default_factory=list)
    """Where the host would wait for the GPU, each as `what @ file:line`."""
    races: list[str] = field(default_factory=list)
    """Where the host reads what a copy may not have brought yet."""
    collectives: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of the largest tensor of each, by kind and type."""
    launches: Counter[str] = field(default_factory=Counter)
    """Kernels by part of the step (`PARTS`)."""
    traffic: Counter[str] = field(default_factory=Counter)
    """Bytes that they read and write, by part."""
    operations: list[Operation] = field(default_factory=list)
    """In order."""

    def add(self, operation: Operation) -> None:
        """Counts an operation."""
        self.operations.append(operation)
        self.launches[operation.part] += operation.kernels
        self.traffic[operation.part] += operation.traffic


def meter() -> Any:
    """A mode that counts (`Counts`, its `counts`), to be entered inside of `FakeTensorMode`."""
    import torch
    from torch.distributed.tensor import DTensor
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    def tensors(tree: Any) -> list[torch.Tensor]:
        return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]

    class Counting(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.counts = Counts()
            self._coming: dict[int, Any] = {}
            """Storages on the host that a copy may still be writing into."""
            self._seen: dict[int, tuple[int, Any]] = {}
            """The numbers of storages, which are kept, so that none has the address of another."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if any(issubclass(kind, DTensor) for kind in types):
                return NotImplemented  # its local tensors come by
            kwargs = kwargs or {}
            if waits:
                self._coming.clear()
            before = tensors((args, kwargs))
            late = [tensor for tensor in before if tensor.untyped_storage()._cdata in self._coming]
            result = func(*args, **kwargs)
            name, after = str(func), tensors(result)
            if late and not func.is_view and not name.startswith("prim."):
                self.counts.races.append(f"{name} @ {_place()}")
            if name.startswith(("c10d.", "_c10d_functional.")):
                self._sent(name.split(".")[1], before)
            elif {tensor.device.type for tensor in before + after} & {"cuda"}:
                self._look(func, name, args, kwargs, before, after)
            return result

        def _sent(self, name: str, before: list[torch.Tensor]) -> None:
            if before:
                kind = f"{name.strip('_')} {str(before[0].dtype).removeprefix('torch.')}"
                self.counts.collectives[kind] += 1
                self.counts.sent[kind] += max(tensor.nbytes for tensor in before)

        def _look(self, func: Any, name: str, args: Any, kwargs: Any, before: Any, after: Any) -> None:
            bare = name.split(".")[1]
            if bare in READING:
                self.counts.syncs.append(f"{bare} @ {_place()}")
            copied = bare in ("_to_copy", "copy_")
            if copied:
                source, target = (args[0], after[0]) if bare == "_to_copy" else (args[1], args[0])
                waits_not = kwargs.get("non_blocking", False) or (bare == "copy_" and len(args) > 2 and args[2])
                self._copied(source, target, bool(waits_not), made=bare == "_to_copy")
            if func.is_view or name.startswith(NOTHING):
                return
            listed = [arg for arg in args if isinstance(arg, list | tuple) and arg and isinstance(arg[0], torch.Tensor)]
            kernels = KERNELS.get(name, -(-len(listed[0]) // A_LAUNCH) if listed else 1)
            written = after
            if func._schema.is_mutable:
                pairs = zip(func._schema.arguments, args, strict=False)
                written = tensors([arg for schema, arg in pairs if schema.alias_info and schema.alias_info.is_write])
            read = self._touched(before)
            if bare in ("embedding", "gather", "index_select", "index"):  # what is looked up, and not where
                read = self._touched(after)
            flops = _flops(name, bare, args)
            self.counts.add(Operation(name, _part(), kernels, read, self._touched(written), flops))

        def _touched(self, tensors: list[torch.Tensor]) -> dict[int, int]:
            found: dict[int, int] = {}
            for tensor in tensors:
                storage = tensor.untyped_storage()
                number, _ = self._seen.setdefault(storage._cdata, (len(self._seen), storage))
                found[number] = found.get(number, 0) + _touched(tensor)
            return found

        def _copied(self, source: torch.Tensor, target: torch.Tensor, waits_not: bool, *, made: bool) -> None:
            if source.device.type == target.device.type:
                return
            host = source if source.device.type == "cpu" else target
            held = host.untyped_storage()
            # What torch makes on the host for a copy that is not waited for is pinned by itself.
            if not waits_not or (held._cdata not in pinned and not (made and host is target)):
                why = "copy" if not waits_not else "copy of pageable memory"
                self.counts.syncs.append(f"{why} {source.device.type} to {target.device.type} @ {_place()}")
            elif host is target:
                self._coming[held._cdata] = held
                waits.clear()

    return Counting()


def _flops(name: str, bare: str, args: Any) -> float:
    """Of matrix products and attention; everything else is bound by memory."""
    if bare in ("mm", "bmm", "addmm", "_scaled_mm"):
        one, other = args[1:3] if bare == "addmm" else args[:2]
        return 2.0 * one.numel() * other.shape[-1]
    if bare == "_varlen_attn":
        return 4.0 * args[0].numel() * args[5]
    if bare == "_varlen_attn_backward":  # five products in place of two
        return 10.0 * args[1].numel() * args[8]
    return 0.0


def _touched(tensor: Any) -> int:
    """Bytes of a tensor; of one that is expanded, those that are there."""
    size = int(tensor.element_size())
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        size *= length if stride else 1
    return size


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


OURS = ("/sapwood/", "/transformers/", "_fully_shard/", "torch/optim/")


def _place() -> str:
    """The innermost line of code that is ours, of transformers or of FSDP2."""
    for frame in _frames():
        name = frame.f_code.co_filename
        if any(part in name for part in OURS):
            return f"{name.split('/src/')[-1].split('site-packages/')[-1]}:{frame.f_lineno}"
    return "?"


def _part() -> str:
    for frame in _frames():
        for ending, part in PARTS.items():
            if ending in frame.f_code.co_filename:
                return part
    return "layers"
