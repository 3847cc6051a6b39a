"""How many planted benchmark items are found, after which edits, and what is found where nothing was planted.

    python benchmarks/decontamination.py --benchmarks 'items/*.jsonl' --documents 'texts/*.jsonl.zst'

Documents are JSONL with a key `text`. Prints Markdown tables, and one line of JSON at the end. Beside Sapwood's n-grams
and shares stands the rule of datatrove's `NGramsDecontFilter`: any 12-gram of an item's texts is a hit.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence

from sapwood.corpus.benchmark_index import BenchmarkIndex, Item
from sapwood.corpus.contamination import load_items
from sapwood.corpus.formats import Fields, Rejected, read_rows
from sapwood.corpus.inputs import list_files, open_file
from sapwood.recipe.data import Normalise

NGRAMS = (8, 10, 13, 20)
OVERLAPS = (0.3, 0.5, 0.7)
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmarks", nargs="+", required=True, help="JSONL files of benchmark items")
    parser.add_argument("--documents", nargs="+", required=True, help="JSONL files of documents")
    parser.add_argument("--planted", type=int, default=500, help="items that are planted for each kind of edit")
    parser.add_argument("--sample-bytes", type=int, default=20_000_000, help="text that nothing is planted in")
    arguments = parser.parse_args()
    chance = random.Random(SEED)
    items = load_items(arguments.benchmarks, Normalise())
    documents = read_documents(arguments.documents, arguments.sample_bytes, chance)
    size = sum(len(text.encode()) for text in documents)
    # Questions alone: what a page that leaks an item shows, with or without its answer.
    questions = [(item, max(item.texts, key=len)) for item in items if len(max(item.texts, key=len)) >= 120]
    planted = chance.sample(questions, min(arguments.planted, len(questions)))
    edits = kinds_of_edits(chance)
    print(f"{len(items):,} items, {len(planted)} planted for each kind of edit, {size / 1e6:.0f} MB of text\n")
    print("| rule | " + " | ".join(edits) + " | false hits | MB/s |")
    print("|:--|" + "--:|" * (len(edits) + 2))
    results = []
    for ngram in NGRAMS:
        index = BenchmarkIndex.build(items, ngram)
        started = time.process_time()
        found = [hit for text in documents for hit in index.find(text, min(OVERLAPS))]
        speed = size / 1e6 / (time.process_time() - started)
        shares = {
            name: [share_of(index, item, plant(edit(text), chance.choice(documents), chance)) for item, text in planted]
            for name, edit in edits.items()
        }
        for overlap in OVERLAPS:
            recalls = {name: sum(share >= overlap for share in found) / len(found) for name, found in shares.items()}
            false = sum(hit.overlap >= overlap for hit in found)
            results.append({"ngram": ngram, "overlap": overlap, "recall": recalls, "false": false, "mb_s": speed})
            row(f"{ngram}-grams, {overlap:.0%} of the item", recalls, false, speed)
    any_twelve = AnyNgram(items, 12)
    started = time.process_time()
    false = sum(any_twelve.hits(text) for text in documents)
    speed = size / 1e6 / (time.process_time() - started)
    recalls = {
        name: sum(any_twelve.hits(plant(edit(text), "", chance)) for _, text in planted) / len(planted)
        for name, edit in edits.items()
    }
    results.append({"any": 12, "recall": recalls, "false": false, "mb_s": speed})
    row("any 12-gram (datatrove's rule)", recalls, false, speed)
    print("\n" + json.dumps(results))


class AnyNgram:
    """datatrove's rule: a document with any n-gram of any text of an item is contaminated, words split at spaces."""

    def __init__(self, items: Sequence[Item], ngram: int) -> None:
        self.ngram = ngram
        self.grams = {gram for item in items for text in item.texts for gram in self._grams(text)}

    def hits(self, text: str) -> bool:
        return not self.grams.isdisjoint(self._grams(text))

    def _grams(self, text: str) -> set[int]:
        words = re.findall(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+", text.lower())
        return {hash(tuple(words[start : start + self.ngram])) for start in range(len(words) - self.ngram + 1)}


def kinds_of_edits(chance: random.Random) -> dict[str, Callable[[str], str]]:
    """Ways in which an item is changed on its way into a page."""
    units = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")

    def numbers(text: str) -> str:
        return re.sub(r"\d+", lambda match: str(chance.randint(2, 99)), text)

    def replaced(share: float) -> Callable[[str], str]:
        def edit(text: str) -> str:
            vocabulary = units.findall(text)
            return units.sub(lambda match: chance.choice(vocabulary) if chance.random() < share else match[0], text)

        return edit

    return {
        "verbatim": lambda text: text,
        "reformatted": lambda text: re.sub(r"([,.?!，。？])", r" \1\n", text.upper()),
        "other numbers": numbers,
        "2% of words": replaced(0.02),
        "5% of words": replaced(0.05),
        "10% of words": replaced(0.10),
        "first two thirds": lambda text: text[: 2 * len(text) // 3],
    }


def plant(text: str, document: str, chance: random.Random) -> str:
    place = chance.randint(0, len(document))
    return f"{document[:place]}\n{text}\n{document[place:]}"


def share_of(index: BenchmarkIndex, item: Item, text: str) -> float:
    return max((h.overlap for h in index.find(text, 0.01) if (h.benchmark, h.item) == item[:2]), default=0.0)


def row(name: str, recalls: dict[str, float], false: int, speed: float) -> None:
    print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in recalls.values()) + f" | {false} | {speed:.0f} |")


def read_documents(patterns: Sequence[str], limit: int, chance: random.Random) -> list[str]:
    texts = []
    for file in list_files("documents", patterns):
        with open_file(file) as stream:
            found = [line.text for line in read_rows(stream, file.url, file.size, Fields(), 0)]
        texts += [text for text in found if not isinstance(text, Rejected)]
    chance.shuffle(texts)
    chosen, size = [], 0
    for text in texts:
        if size >= limit:
            break
        chosen.append(text)
        size += len(text.encode())
    return chosen


if __name__ == "__main__":
    main()
