"""The mixture at the paper's scale: 100B tokens, 100 million documents, 24 sources, two of them in eleven topics each.

    python benchmarks/mixture_scale.py DIRECTORY

Measures, each in a process of its own: planning, deciding all rounds, building epochs of documents (shuffled, and by
a score), reaching positions, and looking documents up. Token shards are sparse files: their sizes and offsets are real,
their tokens are zeros that take no room. DIRECTORY needs about 12 GB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from sapwood.mixture.domains import Sizes
from sapwood.mixture.epochs import Epochs
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.measured import Measured, improvement
from sapwood.mixture.plan import make_plan
from sapwood.mixture.rounds import next_round
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import Mixture
from sapwood.recipe import Recipe, load_recipe
from sapwood.recipe.mixture import Order
from sapwood.runs.manifest import Manifest
from sapwood.tokens.store import TokenStore

SHARD = 1_000_000
MEAN_TOKENS = 1000
TOPICS = [f"topic {number:02d}" for number in range(11)]
KINDS = ("web", "encyclopedia", "book", "forum", "paper", "math", "code", "news", "law", "patents", "subtitles", "wiki")
SHARES = (40, 5, 15, 5, 10, 5, 5, 5, 2, 3, 3, 2)


def main() -> None:
    """Runs every measurement and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--documents", type=int, default=100_000_000)
    arguments = parser.parse_args()
    directory, documents = arguments.directory, arguments.documents
    directory.mkdir(parents=True, exist_ok=True)
    store = directory / f"tokens-{documents}"
    if not (store / "manifest.json").exists():
        write_store(store, documents)
    recipe = directory / "recipe.yaml"
    recipe.write_text(json.dumps(recipe_of(documents)))
    print("| what | seconds | peak memory, GiB |\n|:--|--:|--:|")
    for title, work in (
        ("plan", plan_run),
        ("decide and write all rounds, with a controller", decide_rounds),
        ("one shuffled pass over all documents", shuffled_pass),
        ("one pass by a score, in 1000 bins, with tails", scored_pass),
        ("open all of it again, and read 1,000 random positions", random_positions),
        ("find a document by its id, and where it was trained on", find_document),
    ):
        measure(title, work, directory, store, documents)


def measure(title: str, work: Callable[..., str | None], *arguments: object) -> None:
    """Runs `work` in a fresh process, and prints how long it took and how much memory it needed."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_measured, args=(results, work, arguments))
    process.start()
    seconds, memory, remark = results.get()
    process.join()
    print(f"| {title}{f' ({remark})' if remark else ''} | {seconds:.2f} | {memory / 2**20:.2f} |", flush=True)


def _measured(results: object, work: Callable[..., str | None], arguments: tuple[object, ...]) -> None:
    started = time.monotonic()
    remark = work(*arguments)
    seconds = time.monotonic() - started
    results.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, remark))  # type: ignore[attr-defined]


def write_store(directory: Path, documents: int) -> None:
    """Token shards of so many documents, of lengths between a few and some thousand tokens."""
    chance = np.random.default_rng(0)
    for number, start in enumerate(range(0, documents, SHARD)):
        count = min(SHARD, documents - start)
        where = directory / f"00000-{number:05d}" / "train"
        where.mkdir(parents=True, exist_ok=True)
        lengths = 2 + chance.exponential(MEAN_TOKENS - 2, count).astype(np.int64)
        np.save(where / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))
        np.save(where / "ids.npy", np.frombuffer(chance.bytes(16 * count), np.uint8).reshape(-1, 16))
        np.save(where / "rows.npy", np.arange(count, dtype=np.int32))
        np.lib.format.open_memmap(where / "tokens.npy", "w+", np.uint32, (int(lengths.sum()),)).flush()
    Manifest(step="tokens", inputs={}, settings={}).write(directory)


def recipe_of(documents: int) -> dict[str, object]:
    """24 sources, 2 to 8, with topics and a controller as in the paper's recipe."""
    names = {language: [f"{kind}-{language}" for kind in KINDS] for language in ("zh", "en")}
    tokens = documents * MEAN_TOKENS
    return {
        "name": "scale",
        "model": "m/m",
        "sequence_length": 8192,
        "sources": {
            name: {"tokens": tokens // 10, **({"topics": f"syne-{name[-2:]}"} if name.startswith("web") else {})}
            for part in names.values()
            for name in part
        },
        "groups": {language: dict(zip(part, SHARES, strict=True)) for language, part in names.items()},
        "stages": [
            {
                "name": "adaptation",
                "tokens": tokens * 925 // 1000,
                "mixture": {"zh": 2, "en": 8},
                "order": {"zh": {"by": "perplexity"}},
                "controller": {"kind": "perplexity-change", "over": "topics", "every": max(tokens // 20, 10**7)},
            },
            {"name": "enhancement", "tokens": tokens * 75 // 1000, "mixture": {"zh": 1, "en": 9}},
        ],
        "training": {"batch_tokens": "4M", "learning_rate": 1e-5},
        "corpus": {"perplexity": {"sources": ["zh"]}},
        "evaluation": {"gain": {"domains": ["zh"]}, "retention": {"domains": ["en"]}},
    }


def opened(directory: Path, documents: int) -> tuple[Recipe, Sizes]:
    recipe = load_recipe(directory / "recipe.yaml")
    total = documents * MEAN_TOKENS
    sizes = {name: total * share // 100 for name, share in zip(recipe.sources, SHARES * 2, strict=True)}
    parts = [random.Random(1).randint(20, 200) for _ in TOPICS]
    topics = {
        name: {topic: sizes[name] * part // sum(parts) for topic, part in zip(TOPICS, parts, strict=True)}
        for name in ("web-zh", "web-en")
    }
    return recipe, Sizes(sizes, topics)


def plan_run(directory: Path, store: Path, documents: int) -> str:
    """The plan, with every domain counted."""
    plan = make_plan(*opened(directory, documents))
    return f"{plan.tokens / 1e9:.1f}B tokens, {len(plan.domains)} domains"


def decide_rounds(directory: Path, store: Path, documents: int) -> str:
    """All rounds, with losses that wander."""
    recipe, sizes = opened(directory, documents)
    plan = make_plan(recipe, sizes)
    path = directory / "ledger.jsonl"
    path.unlink(missing_ok=True)
    ledger, chance = Ledger(path), random.Random(0)
    names = [*(part.domain.name for part in plan.domains), *recipe.sources, *recipe.groups]

    def losses() -> dict[str, Measured]:
        return {
            name: Measured(
                bits_per_byte=1 + chance.random() / 10,
                standard_error=0.01,
                nats_per_token=2.5 + chance.random() / 10,
                since_last=improvement(-chance.gauss(0, 0.02), 0.005),
            )
            for name in names
        }

    while (entry := next_round(recipe, plan, ledger, losses())) is not None:
        ledger.append(entry)
    return f"{len(ledger.rounds)} rounds, {path.stat().st_size / 2**20:.1f} MiB of ledger"


def epochs(directory: Path, store: TokenStore) -> Epochs:
    scores = np.random.default_rng(1).standard_normal
    return Epochs(
        directory / "orders",
        store,
        None,
        store.tokens,
        lambda _: scores(store.documents),
        key="0/all",
        identity=str(store.documents),
    )


def shuffled_pass(directory: Path, store: Path, documents: int) -> None:
    """One domain of all documents, shuffled."""
    opened_store = TokenStore(store, "train")
    epochs(directory, opened_store).get(0, [(0, Order())])


def scored_pass(directory: Path, store: Path, documents: int) -> None:
    """One domain of all documents, by a score of random numbers."""
    opened_store = TokenStore(store, "train")
    order = Order.model_validate({"by": "perplexity", "bins": 1000, "tails": {"head": "1%", "tail": "1%"}})
    epochs(directory, opened_store).get(0, [(0, order)])


def one_domain(directory: Path, store: Path) -> Stream:
    """A stream of all documents as one domain, in the pass that was built before."""
    opened_store = TokenStore(store, "train")
    ledger = Ledger(directory / "one.jsonl", writable=False)
    whole = Round(
        index=0,
        stage="one",
        start=0,
        sequences=opened_store.tokens // 8192,
        sequence_length=8192,
        start_tokens=0,
        mixture=Mixture({"all": Fraction(1)}, {"all": "group"}),
        first={},
        reasons=("All of it.",),
    )
    ledger.append(whole)
    return Stream(ledger, {"all": epochs(directory, opened_store)})


def random_positions(directory: Path, store: Path, documents: int) -> str:
    """Reads sequences at random positions; the files may be cold."""
    stream = one_domain(directory, store)
    chance = random.Random(0)
    started = time.monotonic()
    for _ in range(1000):
        stream[chance.randrange(stream.ledger.decided)]
    return f"{(time.monotonic() - started):.2f} ms a position, {stream.ledger.decided / 1e6:.1f}M positions"


def find_document(directory: Path, store: Path, documents: int) -> str:
    """From an id to the sequences in which the document is."""
    stream = one_domain(directory, store)
    ((domain, part),) = stream.epochs.items()
    wanted = part.store.document_id(documents - 5)
    number = part.store.find(wanted)
    assert number == documents - 5
    begin = stream.place(domain, 0, number)
    found = stream.positions(stream.ledger.rounds[0], domain, begin, begin + part.store.length(number))
    assert any(span.document == number for position in found for span in stream[position].spans)
    return f"{len(found)} sequences"


if __name__ == "__main__":
    main()
