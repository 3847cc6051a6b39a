"""A small tokenizer, and token stores made of given numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sapwood.manifest import Manifest
from sapwood.tokens.store import TokenStore

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = ["the tree adds a ring of living wood every year", "年轮 记录 树木 的 生长", "def f(x): return x + 1"] * 20


@pytest.fixture
def tokenizer_directory(tmp_path: Path) -> Path:
    """A model's directory with a byte-level BPE tokenizer of 350 tokens; `<|im_end|>` (2) ends a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=350,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer=trainer)
    directory = tmp_path / "model"
    directory.mkdir()
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    (directory / "config.json").write_text(json.dumps({"vocab_size": 360, "eos_token_id": 0}))
    return directory


@pytest.fixture
def make_store() -> Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]:
    """Writes shards of documents, each with its end-of-text token, and opens them as the split `train`."""

    def make(directory: Path, shards: Sequence[Sequence[Sequence[int]]]) -> TokenStore:
        for number, documents in enumerate(shards):
            shard = directory / f"00000-{number:05d}"
            shard.mkdir(parents=True)
            if documents:
                where = shard / "train"
                where.mkdir()
                np.save(where / "tokens.npy", np.array([i for document in documents for i in document], np.uint16))
                np.save(where / "offsets.npy", np.cumsum([0, *map(len, documents)], dtype=np.int64))
        Manifest(step="tokens", inputs={}, settings={}).write(directory)
        return TokenStore(directory, "train")

    return make
