"""Near-duplicates: how fast they are found, how many of the planted ones, and what else is called a copy.

    python benchmarks/near_duplicates.py --documents 'texts/*.jsonl.zst'

Copies are planted with a share of their words (or Han characters) replaced, and with a header and a footer added. The
truth is the Jaccard similarity of the shingles, computed exactly. Sapwood stands beside datasketch and gaoya, where
these are installed, and beside datatrove's four MinHash stages with words split at spaces; one process, CPU time.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xxhash
from decontamination import read_documents

from sapwood.corpus.duplicates import VALUES, band_rows, find_copies, shingle_hashes, sign

SIMILARITY = 0.8
SEED = 0
Pairs = set[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", nargs="+", required=True, help="JSONL files with a key `text`")
    parser.add_argument("--sample-bytes", type=int, default=12_000_000, help="text that copies are planted in")
    parser.add_argument("--planted", type=int, default=300, help="copies of each kind")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="run the peers too")
    arguments = parser.parse_args()
    chance = random.Random(SEED)
    texts = read_documents(arguments.documents, arguments.sample_bytes, chance)
    kinds: list[tuple[str, int, int]] = []
    for name in edits(chance):
        for number in chance.sample(range(len(texts)), min(arguments.planted, len(texts))):
            kinds.append((name, number, len(texts) + len(kinds)))
    everything = [*texts, *(edits(chance)[name](texts[number]) for name, number, _ in kinds)]
    size = sum(len(text.encode()) for text in everything) / 1e6
    truth = {place: jaccard(everything[number], everything[place]) for _, number, place in kinds}
    print(f"{len(everything):,} documents, {size:.1f} MB, copies from a similarity of {SIMILARITY} on\n")
    print("| finder | MB/s | dropped | precision | " + " | ".join(edits(chance)) + " |")
    print("|:--|--:|--:|--:|" + "--:|" * len(edits(chance)))
    results = []
    for name, find in finders(arguments.peers).items():
        started = time.process_time()
        dropped = find(everything)
        seconds = time.process_time() - started
        precision = precision_of(everything, dropped)
        recalls = {}
        for kind in edits(chance):
            similar = [p for at, _, p in kinds if at == kind and truth[p] >= SIMILARITY]
            recalls[kind] = sum(place in dropped for place in similar) / len(similar) if similar else None
        results.append({"finder": name, "mb_s": size / seconds, "precision": precision, "recall": recalls})
        shown = "–" if precision is None else f"{precision:.1%}"
        shares = " | ".join("–" if share is None else f"{share:.1%}" for share in recalls.values())
        print(f"| {name} | {size / seconds:.1f} | {len(dropped)} | {shown} | {shares} |")
    counts = {kind: sum(truth[p] >= SIMILARITY for at, _, p in kinds if at == kind) for kind in edits(chance)}
    print(f"\nPlanted copies that are as similar as that: {counts}")
    print("\n" + json.dumps(results))


def edits(chance: random.Random) -> dict[str, Callable[[str], str]]:
    units = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")

    def replaced(share: float) -> Callable[[str], str]:
        def edit(text: str) -> str:
            vocabulary = units.findall(text) or ["x"]
            return units.sub(lambda match: chance.choice(vocabulary) if chance.random() < share else match[0], text)

        return edit

    return {
        "verbatim": lambda text: text,
        "1% of words": replaced(0.01),
        "2% of words": replaced(0.02),
        "4% of words": replaced(0.04),
        "header and footer": lambda text: f"Home | About | Contact\n{text}\nCopyright. All rights reserved.",
        "last tenth cut": lambda text: text[: 9 * len(text) // 10],
    }


def jaccard(one: str, two: str) -> float:
    a, b = (np.unique(shingle_hashes(text)) for text in (one, two))
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / max(1, len(a) + len(b) - both)


def precision_of(texts: list[str], dropped: dict[int, int | None]) -> float | None:
    """The share of the dropped that are nearly as similar as asked for to what stays; None where that is not said."""
    pairs = [(place, keeper) for place, keeper in dropped.items() if keeper is not None]
    if not pairs:
        return None
    return sum(jaccard(texts[place], texts[keeper]) >= SIMILARITY - 0.1 for place, keeper in pairs) / len(pairs)


def finders(peers: bool) -> dict[str, Callable[[list[str]], dict[int, int | None]]]:
    """By name, what finds copies: the places that are dropped, each with what stays for it, where that is said."""
    found: dict[str, Callable[[list[str]], dict[int, int | None]]] = {"Sapwood": sapwood}
    if peers and find_spec("gaoya"):
        found["gaoya (words, white space)"] = gaoya
    if peers and find_spec("datasketch"):
        found["datasketch (same shingles)"] = datasketch
    if peers:
        found["datatrove (words, white space)"] = datatrove
    return found


def sapwood(texts: list[str]) -> dict[int, int | None]:
    hashes = np.array([xxhash.xxh3_64_intdigest(" ".join(text.split()).encode()) for text in texts], np.uint64)
    signatures = np.concatenate([sign(texts[start : start + 256]) for start in range(0, len(texts), 256)])
    keepers = find_copies(hashes, signatures, SIMILARITY).keepers
    return {place: int(keeper) for place, keeper in enumerate(keepers.tolist()) if keeper != place}


def gaoya(texts: list[str]) -> dict[int, int | None]:
    from gaoya.minhash import MinHashStringIndex

    rows = band_rows(SIMILARITY)
    index = MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=SIMILARITY,
        num_bands=VALUES // rows,
        band_size=rows,
        analyzer="word",
        lowercase=True,
        ngram_range=(5, 5),
    )
    return _dropped(texts, lambda place, text: index.insert_document(place, text), index.query)


def datasketch(texts: list[str]) -> dict[int, int | None]:
    from datasketch import MinHash, MinHashLSH

    rows = band_rows(SIMILARITY)
    index = MinHashLSH(params=(VALUES // rows, rows), num_perm=VALUES)
    made: dict[int, MinHash] = {}

    def sketch(text: str) -> MinHash:
        found = MinHash(num_perm=VALUES)
        found.update_batch([int(value).to_bytes(8, "little") for value in np.unique(shingle_hashes(text))])
        return found

    dropped: dict[int, int | None] = {}
    for place, text in enumerate(texts):
        made[place] = sketch(text)
        near = [other for other in index.query(made[place]) if made[place].jaccard(made[other]) >= SIMILARITY]
        if near:
            dropped[place] = min(near)
        else:
            index.insert(place, made[place])
    return dropped


def _dropped(
    texts: list[str], insert: Callable[[int, str], object], query: Callable[[str], Iterable[int]]
) -> dict[int, int | None]:
    dropped: dict[int, int | None] = {}
    for place, text in enumerate(texts):
        near = list(query(text))
        if near:
            dropped[place] = min(near)
        else:
            insert(place, text)
    return dropped


class _Spaces:
    @staticmethod
    def word_tokenize(text: str) -> list[str]:
        return text.split()


def datatrove(texts: list[str]) -> dict[int, int | None]:
    from datatrove.data import Document
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
        minhash,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    minhash.load_word_tokenizer = lambda language: _Spaces()  # its own for English is spaCy
    rows = band_rows(SIMILARITY)
    config = MinhashConfig(
        n_grams=5,
        num_buckets=VALUES // rows,
        hashes_per_bucket=rows,
        hash_config=HashConfig(precision=64, hash_fc="sha1"),
    )
    documents = [Document(text=text, id=str(place)) for place, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        parts = [str(Path(folder) / name) for name in ("signatures", "buckets", "removed")]
        MinhashDedupSignature(parts[0], config=config, language="en").run(documents, 0, 1)
        for bucket in range(config.num_buckets):
            MinhashDedupBuckets(parts[0], parts[1], config=config).run(None, bucket, config.num_buckets)
        MinhashDedupCluster(parts[1], parts[2], config=config).run(None, 0, 1)
        kept = {document.id for document in MinhashDedupFilter(parts[2]).run(documents, 0, 1)}
    return {place: None for place in range(len(texts)) if str(place) not in kept}


if __name__ == "__main__":
    main()
