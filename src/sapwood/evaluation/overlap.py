"""Which items of a suite stand in the documents that a run was trained on.

An item is found by the rule of decontamination (`corpus.contamination`), with every text that it has. The n-grams of
the items are what is kept in memory; the documents that the ledger names are read once, shard by shard.

DIRECTORY/overlap.json     everything that was found
         /manifest.json    for which position, documents, items and rule
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import xxhash

from sapwood import __version__
from sapwood.corpus.benchmark_index import RULE_VERSION, BenchmarkIndex
from sapwood.corpus.characters import WORDS_VERSION
from sapwood.corpus.contamination import item_of
from sapwood.corpus.store import stores_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.overlap_search import OUTPUTS, SearchShards
from sapwood.files import fingerprint, read_json, reading, write_json
from sapwood.mixture.account import position_reached
from sapwood.mixture.domains import domains_of
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.open import open_stream, read_sizes
from sapwood.mixture.trained import Rows, Shard, trained_rows
from sapwood.recipe import Recipe
from sapwood.recipe.data import Decontamination, Normalise
from sapwood.recipe.suite import Suite
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest, begin, finished, read_manifest, remake
from sapwood.runs.metrics import last_step
from sapwood.suites.task_item import TaskItems, load_task_items

OVERLAP = "overlap.json"


@dataclass(frozen=True, slots=True)
class Find:
    """An item in a document."""

    task: str
    item: str
    """Its id, as in `ItemResult`."""
    source: str
    document: str
    """Its id, as `sapwood audit --document` takes it."""
    share: float
    """The share of the n-grams of one of the item's texts that stand in one place of the document."""
    excerpt: str
    """How that place begins."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The items of a suite that stand in documents that were trained on."""

    position: int
    """How far the run had got, in sequences."""
    documents: int
    """How many documents it had trained on."""
    looked_for: Mapping[str, int]
    """Items, by task."""
    too_short: Mapping[str, int]
    """How many of them no document can be said to hold, for want of text that is theirs alone, by task."""
    finds: tuple[Find, ...]
    """By task and item; of an item the greatest share comes first."""

    @property
    def items(self) -> dict[str, frozenset[str]]:
        """The ids of the items that were found, for every task of the suite."""
        return {task: frozenset(find.item for find in self.finds if find.task == task) for task in self.looked_for}


def find_overlap(recipe: Recipe, run: RunDirectory, suite: Suite, items: Path | None) -> Overlap:
    """Looks for the items of every task in all documents of which a token was trained on so far, in whole.

    `items` is the directory with the benchmarks' files. The rule is that of `corpus.decontamination` in the recipe, or
    else its defaults. The result is kept in the run directory, and read from there while position, documents, items
    and rule are the same; work that was stopped goes on after its last complete shard.

    Raises SapwoodError where the run has trained on nothing, and where files of the suite are missing.
    """
    started = time.monotonic()
    loaded = {name: load_task_items(task, items) for name, task in suite.tasks.items()}
    rule = recipe.corpus.decontamination or Decontamination(benchmarks=[])
    ledger = Ledger(run.ledger, writable=False)
    position = position_reached(ledger, last_step(run.metrics))
    if not position:
        raise SapwoodError(
            f"By its log, the run in {run.root} has trained on nothing yet: nothing can overlap with that."
        )
    trained = trained_rows(open_stream(recipe, run, ledger, domains_of(recipe, read_sizes(recipe, run))), position)
    normalising = recipe.corpus.normalise
    planned = _planned(run, suite, loaded, rule, normalising, position, trained)
    directory = run.overlap(suite.name)
    if finished(directory, planned) is None:
        index = _index(loaded, rule, normalising)
        begin(directory, planned, [*OUTPUTS, OVERLAP])
        block = SearchShards(stores_of(run, recipe), directory, index, rule.overlap, planned.fingerprint)
        lines = block.search(trained, recipe.engine)
        overlap = Overlap(
            position=position,
            documents=sum(map(len, trained.values())),
            looked_for={name: len(found.items) for name, found in loaded.items()},
            too_short=_too_short(index, loaded),
            finds=tuple(_finds(lines, loaded)),
        )
        write_json(directory / OVERLAP, asdict(overlap), sealed=True)
        counts = {"documents": overlap.documents, "items": sum(map(len, overlap.items.values()))}
        seconds = round(time.monotonic() - started, 3)
        replace(planned, counts=counts, versions={"sapwood": __version__}, seconds=seconds).write(directory)
        block.clean()
    return _read(directory)


def read_overlap(directory: Path) -> Overlap | None:
    """What `find_overlap` wrote into `RunDirectory.overlap(suite)`; None where it never finished.

    It holds for the `position` that it names, and not for what was trained since.
    """
    return None if read_manifest(directory) is None else _read(directory)


def _planned(
    run: RunDirectory,
    suite: Suite,
    loaded: Mapping[str, TaskItems],
    rule: Decontamination,
    normalising: Normalise,
    position: int,
    trained: Mapping[Shard, Rows],
) -> Manifest:
    digests = {
        f"{source}/{shard}": xxhash.xxh3_64_hexdigest(rows.tobytes()) for (source, shard), rows in trained.items()
    }
    tokens = {source: read_manifest(run.tokens(source)) for source in sorted({source for source, _ in trained})}
    return Manifest(
        step="overlap",
        inputs={
            "position": position,
            "sources": {source: manifest.fingerprint for source, manifest in tokens.items() if manifest is not None},
            "documents": fingerprint(digests),
            "items": {name: found.fingerprint for name, found in loaded.items()},
        },
        settings={
            "words": WORDS_VERSION,
            "rule": RULE_VERSION,
            "suite": suite.name,
            "ngram": rule.ngram,
            "overlap": rule.overlap,
            "normalise": normalising.model_dump(mode="json"),
        },
    )


def _index(loaded: Mapping[str, TaskItems], rule: Decontamination, normalising: Normalise) -> BenchmarkIndex:
    return BenchmarkIndex.build(
        (
            item_of(name, number, item.content, normalising)
            for name, found in loaded.items()
            for number, item in enumerate(found.items)
        ),
        rule.ngram,
    )


def _too_short(index: BenchmarkIndex, loaded: Mapping[str, TaskItems]) -> dict[str, int]:
    there = index.findable()
    return {name: len(found.items) - sum(task == name for task, _ in there) for name, found in loaded.items()}


def _finds(lines: Iterable[Mapping[str, Any]], loaded: Mapping[str, TaskItems]) -> list[Find]:
    """What was found, with the items' ids in place of their numbers."""
    finds = (Find(**{**line, "item": loaded[line["task"]].items[line["item"]].id}) for line in lines)
    return sorted(finds, key=lambda find: (find.task, find.item, -find.share, find.source, find.document))


def _read(directory: Path) -> Overlap:
    record = read_json(directory / OVERLAP, remake(directory))
    with reading(directory / OVERLAP, remake(directory)):
        return Overlap(**{**record, "finds": tuple(Find(**find) for find in record["finds"])})
