"""Copies of a state in the memory of the host, taken while training goes on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.distributed.tensor import DTensor


class Staging:
    """Takes copies of a state's tensors, each time into the same memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._buffers: dict[str, torch.Tensor] = {}
        self._copied: torch.cuda.Event | None = None

    def copy(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Copies of tensors, sharded as they are. They may be read after `wait`, until the next call.

        From a GPU they are taken in a stream of their own, into pinned memory: the host goes on at once, and the next
        step on the GPU waits for them alone. A copy into pageable memory would hold the host up once a tensor.
        """
        if self._stream is None:
            return {name: self._into(name, tensor) for name, tensor in tensors.items()}
        now = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(now)
        with torch.cuda.stream(self._stream):
            copies = {name: self._into(name, tensor) for name, tensor in tensors.items()}
            self._copied = self._stream.record_event()
        now.wait_stream(self._stream)
        return copies

    def wait(self) -> None:
        """Waits until the copies are there. It may be called from another thread, whose device is set."""
        if self._copied is not None:
            self._copied.synchronize()

    def _into(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        own = (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach()
        if name not in self._buffers:
            buffer = torch.empty_like(own, device="cpu")
            self._buffers[name] = buffer.pin_memory() if self._stream is not None else buffer
        copy = self._buffers[name].copy_(own, non_blocking=True)
        if not isinstance(tensor, DTensor):
            return copy
        # `DTensor.from_local` would move it to the device of the mesh.
        return DTensor(copy, tensor._spec, requires_grad=False)  # type: ignore[no-untyped-call]
