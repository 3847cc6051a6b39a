"""Builds the base model of the miniature before it has learned anything: a byte-level BPE and a random Llama.

    python studies/miniature/build_base.py DATA OUTPUT [--layers 5] [--width 128]

DATA holds `*-en.jsonl.zst` and `*-zh.jsonl.zst`, one JSON object with a `text` a line. The tokenizer is learned on both
languages, so that both are spelled about as well and what changes in training is the model. With 5 layers of width 128
there are 1.0M weights in the layers and 1.0M in the embeddings, which are also the head.
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import orjson
import torch
import zstandard
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 8192
END = "<|end_of_text|>"
CHARACTERS = 4_000_000
"""Of each language, the tokenizer learns from so many."""
POSITIONS = 512


def texts(data: Path, language: str) -> Iterator[str]:
    """Texts of a language, from all its files in turn, until CHARACTERS are reached."""
    files = sorted(data.glob(f"*-{language}.jsonl.zst"))
    if not files:
        raise SystemExit(f"There is no {data}/*-{language}.jsonl.zst. Name the directory that holds the texts.")
    taken = 0
    for group in zip(*map(_read, files), strict=False):
        for text in group:
            yield text
            taken += len(text)
        if taken >= CHARACTERS:
            return


def _read(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        yield from (orjson.loads(line)["text"] for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--width", type=int, default=128)
    options = parser.parse_args()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(
        itertools.chain.from_iterable(texts(options.data, language) for language in ("en", "zh")), trainer
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)
    fast.save_pretrained(options.output)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=options.width,
            intermediate_size=options.width * 11 // 4,
            num_hidden_layers=options.layers,
            num_attention_heads=options.width // 32,
            num_key_value_heads=options.width // 32,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=fast.eos_token_id,
            pad_token_id=None,
        )
    )
    model.save_pretrained(options.output)
    print(f"{model.num_parameters():,} weights in {options.output}")


if __name__ == "__main__":
    main()
