"""Tiny models of several kinds, as Hugging Face directories with everything that lies in one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM


@pytest.fixture
def write_model(tmp_path: Path, tiny_backbone: Path) -> Callable[..., Path]:
    """Writes a seeded Llama with the tokenizer of `tiny_backbone`, a chat template and a licence."""

    def write(name: str = "source", *, tied: bool = True, dtype: torch.dtype = torch.float32) -> Path:
        directory = tmp_path / name
        torch.manual_seed(3)
        config = LlamaConfig(
            vocab_size=400,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=tied,
        )
        LlamaForCausalLM(config).to(dtype).save_pretrained(directory)
        for file in tiny_backbone.glob("tokenizer*"):
            shutil.copy(file, directory)
        (directory / "chat_template.jinja").write_text("{{ messages }}")
        (directory / "additional_chat_templates").mkdir()
        (directory / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
        (directory / "LICENSE").write_text("Do as you like.\n")
        return directory

    return write
