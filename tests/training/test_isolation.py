from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig

from sapwood.training.isolation import bounds_fit


@pytest.mark.parametrize(
    ("capability", "dtype", "size", "fits"),
    [
        ((8, 0), torch.bfloat16, 64, True),
        ((9, 0), torch.float16, 256, True),
        ((9, 0), torch.float32, 64, False),
        ((7, 0), torch.float16, 64, False),
        ((7, 5), torch.float16, 64, False),
        ((9, 0), torch.bfloat16, 60, False),
        ((9, 0), torch.bfloat16, 264, False),
    ],
)
def test_what_flash_attention_takes(
    capability: tuple[int, int], dtype: torch.dtype, size: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    config = LlamaConfig(hidden_size=4 * size, num_attention_heads=4, head_dim=size)
    assert bounds_fit(config, torch.device("cuda"), dtype) is fits
    assert bounds_fit(config, torch.device("cpu"), dtype)
