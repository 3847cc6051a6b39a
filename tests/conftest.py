"""A base model of two layers and a corpus of a few kilobytes: everything real, only small."""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from fake_server import Answer, Fake
from sapwood.arrays import save_array
from sapwood.runs.manifest import Manifest
from sapwood.tokens.store import TokenStore

settings.register_profile("sapwood", deadline=None, derandomize=True, max_examples=60)  # no test asserts on time
settings.load_profile("sapwood")

ENGLISH = (
    "the tree adds a ring of living wood every year and keeps the old heart that no longer grows but holds".split()
)
CHINESE = "树 木 每 年 长 出 一 圈 新 的 边 材 而 心 材 不 再 生 长 却 支 撑 着 整 棵 大 树".split()


def sentences(words: list[str], joiner: str, seed: int, count: int) -> list[str]:
    """`count` documents of 20 to 120 words, in a seeded order."""
    chance = random.Random(seed)
    return [joiner.join(chance.choices(words, k=chance.randint(20, 120))) for _ in range(count)]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the tests' own, empty at first, in place of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAPWOOD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    """Tests kill processes, not machines: what is written stays without `fsync`, a tenth of a small run's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory with a seeded two-layer Llama and a byte-level BPE tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    directory = tmp_path_factory.mktemp("backbone")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*sentences(ENGLISH, " ", 0, 30), *sentences(CHINESE, "", 0, 30)], trainer=trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.save_pretrained(directory)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def write_recipe(tiny_backbone: Path) -> Callable[..., Path]:
    """Writes a two-stage recipe with its documents into a directory; the other arguments replace top-level fields."""

    def write(directory: Path, **fields: object) -> Path:
        for name, words, joiner, seed, count in (
            ("web-zh", CHINESE, "", 1, 60),
            ("book-zh", CHINESE, "", 2, 30),
            ("web-en", ENGLISH, " ", 3, 80),
            ("news-en", ENGLISH, " ", 4, 12),
        ):
            lines = [json.dumps({"text": text}, ensure_ascii=False) for text in sentences(words, joiner, seed, count)]
            (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        recipe = {
            "name": "tiny",
            "model": str(tiny_backbone),
            "sequence_length": 64,
            "sources": {name: {"files": f"{name}.jsonl"} for name in ("web-zh", "book-zh", "web-en", "news-en")},
            "groups": {"zh": {"web-zh": 70, "book-zh": 30}, "en": {"web-en": 1}},
            "stages": [
                {"name": "adaptation", "tokens": 5000, "mixture": {"zh": 8, "en": 2}},
                {"name": "enhancement", "tokens": 2000, "mixture": {"zh": 1, "en": 1}},
            ],
            "holdout": {"share": 0.15},
            "training": {
                "batch_tokens": 512,
                "micro_batch": 2,
                "precision": "fp32",
                "learning_rate": {"peak": 3e-3, "warmup": "2 steps", "then": "stable-decay"},
                "checkpoints": {"every": "3 steps"},
            },
            "evaluation": {
                "gain": {"domains": ["zh"]},
                "retention": {"domains": ["en", "news-en"], "margin": 0.05},
                "samples": {"tokens": 4},
            },
            **fields,
        }
        path = directory / "recipe.yaml"
        path.write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
        return path

    return write


@pytest.fixture
def tiny_recipe(tmp_path: Path, write_recipe: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the recipe below `tmp_path`; the arguments replace top-level fields."""

    def write(**fields: object) -> Path:
        return write_recipe(tmp_path, **fields)

    return write


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], Path]:
    """Puts shell scripts on PATH under the names of commands that the machine lacks; gives their directory."""

    def put(scripts: dict[str, str]) -> Path:
        commands = tmp_path / "commands"
        commands.mkdir()
        for name, text in scripts.items():
            (commands / name).write_text(f"#!/bin/bash\n{text}\n")
            (commands / name).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
        return commands

    return put


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], Fake]]:
    """Starts servers of models on this machine (`fake_server`), which answer as they are told; failures are tried
    again without a wait."""
    from sapwood.generation import connection

    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    fakes: list[Fake] = []

    def start(answer: Answer) -> Fake:
        fakes.append(Fake(answer))
        return fakes[-1]

    yield start
    for fake in fakes:
        fake.close()


SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = ["the tree adds a ring of living wood every year", "年轮 记录 树木 的 生长", "def f(x): return x + 1"] * 20


@pytest.fixture
def tokenizer_directory(tmp_path: Path) -> Path:
    """A model's directory with a byte-level BPE tokenizer of 350 tokens; `<|im_end|>` (2) ends a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

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
                save_array(where / "tokens.npy", np.array([i for document in documents for i in document], np.uint16))
                save_array(where / "offsets.npy", np.cumsum([0, *map(len, documents)], dtype=np.int64))
                ids = [hashlib.md5(f"{number}/{row}".encode()).digest() for row in range(len(documents))]
                save_array(where / "ids.npy", np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16))
                save_array(where / "rows.npy", np.arange(len(documents), dtype=np.int32) * 2)
        Manifest(step="tokens", inputs={}, settings={}).write(directory)
        return TokenStore(directory, "train")

    return make
