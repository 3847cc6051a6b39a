"""Writes a part of a stream as shards of files: each whole or not at all, and none twice.

DIRECTORY/attempt.json         what the directory is being filled with
DIRECTORY/stream-00000.…       shards, numbered in the order of the stream
DIRECTORY/shards.jsonl         a line for every shard that is whole: positions, stage, tokens, digest
DIRECTORY/stream.json          what all of it is, with the digest of the whole
DIRECTORY/manifest.json        written last
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sapwood import __version__
from sapwood.backbone.traits import Way
from sapwood.errors import SapwoodError, argument
from sapwood.files import append_line, read_json, read_lines, write_json
from sapwood.mixture.decided import DecidedRun
from sapwood.mixture.export.megatron import megatron_type, write_megatron
from sapwood.mixture.export.parquet import write_parquet
from sapwood.mixture.ledger import Round
from sapwood.mixture.stream import Sequence, digest
from sapwood.progress import Advance, track
from sapwood.runs.lock import HELD
from sapwood.runs.manifest import ATTEMPT, NAME, Manifest, begin, finished, is_begun, read_manifest, remake
from sapwood.runs.metrics import read_metrics

Format = Literal["megatron", "parquet"]
Write = Callable[[Path, Iterable[Sequence]], None]

SHARDS, STREAM = "shards.jsonl", "stream.json"
_FILES = "stream-*"


@dataclass(frozen=True, slots=True)
class Shard:
    """Some sequences of one stage that follow each other."""

    number: int
    stage: str
    start: int
    """The position of its first sequence."""
    stop: int
    """The position after its last one."""
    sequence_length: int

    @property
    def tokens(self) -> int:
        """Tokens in it."""
        return (self.stop - self.start) * self.sequence_length

    @property
    def stem(self) -> str:
        """Its files' name, without a suffix."""
        return f"stream-{self.number:05d}"


def plan_shards(rounds: Iterable[Round], start: int, stop: int, shard_tokens: int) -> list[Shard]:
    """Cuts positions `start` to `stop` into shards of at most `shard_tokens` tokens, and at least one sequence.

    A stage begins a shard, since its sequences may have another length.
    """
    stages: dict[str, tuple[int, int, int]] = {}
    for entry in rounds:
        begun = stages.get(entry.stage, (entry.start, 0, 0))[0]
        stages[entry.stage] = (begun, entry.stop, entry.sequence_length)
    shards: list[Shard] = []
    for stage, (begun, end, length) in stages.items():
        first, last = max(start, begun), min(stop, end)
        size = max(1, shard_tokens // length)
        for place in range(first, last, size):
            shards.append(Shard(len(shards), stage, place, min(place + size, last), length))
    return shards


def export_stream(
    run: DecidedRun, directory: Path, form: Format, start: int, stop: int, shard_tokens: int, isolation: Way | None
) -> dict[str, Any]:
    """Writes the sequences at positions `start` to `stop` into `directory`, and gives the content of `stream.json`.

    `isolation` is how a trainer must keep the documents of a sequence apart, as `StreamDataset.isolation` has it.

    Whole shards of an export that was stopped are kept. Raises SapwoodError where the directory holds anything else.
    """
    shards = plan_shards(run.ledger.rounds, start, stop, shard_tokens)
    rounds = sum(entry.start < stop for entry in run.ledger.rounds)
    tokenised = [read_manifest(run.run.tokens(source)) for source in _sources(run)]
    dtype = megatron_type(manifest.settings["type"] for manifest in tokenised if manifest is not None)
    planned = Manifest(
        step="export of the stream",
        inputs={"run": run.history(rounds)},
        settings={
            "format": form,
            "type": dtype.name if form == "megatron" else "int32",
            "positions": [start, stop],
            "shard_tokens": shard_tokens,
        },
    )
    if finished(directory, planned) is not None:
        return dict(read_json(directory / STREAM, remake(directory)))
    _refuse_others(directory, planned)
    begin(directory, planned, [_FILES, SHARDS, STREAM])
    started = time.monotonic()
    lines = {line["number"]: line for line in read_lines(directory / SHARDS, remake(directory))}
    done = sum(shard.tokens for shard in shards if shard.number in lines)
    with track("Exporting", sum(shard.tokens for shard in shards), done=done) as advance:
        for shard in shards:
            if shard.number not in lines:
                write: Write = (
                    partial(write_megatron, length=shard.sequence_length, dtype=dtype)
                    if form == "megatron"
                    else partial(
                        write_parquet,
                        length=shard.sequence_length,
                        stage=shard.stage,
                        document_id=lambda domain, number: run.stream.epochs[domain].store.document_id(number),
                    )
                )
                total = _Total()
                write(directory / shard.stem, _sequences(run, shard, total, advance))
                lines[shard.number] = asdict(shard) | {"tokens": shard.tokens, "digest": digest(total.value)}
                append_line(directory / SHARDS, lines[shard.number])
    ends = {manifest.settings["eos"] for manifest in tokenised if manifest is not None}
    begins = [manifest.settings["begin"] for manifest in tokenised if manifest is not None]
    account = _account(run, planned, shards, lines) | {
        "isolation": isolation,
        "begin_of_text": begins[0] if begins else [],
        "end_of_text": ends.pop() if len(ends) == 1 else sorted(ends),
    }
    write_json(directory / STREAM, account, sealed=True)
    counts = {"sequences": stop - start, "tokens": account["tokens"], "shards": len(shards)}
    seconds = round(time.monotonic() - started, 3)
    replace(planned, counts=counts, versions={"sapwood": __version__}, seconds=seconds).write(directory, _FILES)
    return account


def trained_digest(run: DecidedRun, start: int, stop: int) -> tuple[int, str] | None:
    """How many steps trained on exactly the positions `start` to `stop`, and the digest of all they read.

    None where no steps did, or some reached beyond.
    """
    total = steps = before = 0
    reached = start
    for line in read_metrics(run.run.metrics):
        if before == reached and line.position <= stop:
            total, steps, reached = total + int(line.digest, 16), steps + 1, line.position
        before = line.position
    return (steps, digest(total)) if steps and reached == stop else None


class _Total:
    value = 0


def _sequences(run: DecidedRun, shard: Shard, total: _Total, advance: Advance) -> Iterator[Sequence]:
    current = None
    for position in range(shard.start, shard.stop):
        entry = run.ledger.at(position)
        if entry is not None and entry is not current:
            current = entry
            run.make_epochs(entry)
        sequence = run.stream[position]
        total.value += sequence.digest
        advance(shard.sequence_length)
        yield sequence


def _refuse_others(directory: Path, planned: Manifest) -> None:
    if not directory.exists() or not any(path.name != HELD for path in directory.iterdir()):
        return
    there = read_manifest(directory)
    same = is_begun(directory, planned.fingerprint) if there is None else there.fingerprint == planned.fingerprint
    if not same:
        what = "another export" if (directory / NAME).exists() or (directory / ATTEMPT).exists() else "other files"
        raise SapwoodError(
            f"{directory} holds {what}. Name a new directory with {argument('output')}, or remove that one."
        )


def _sources(run: DecidedRun) -> list[str]:
    return list(dict.fromkeys(part.domain.source for part in run.plan.domains))


def _account(
    run: DecidedRun, planned: Manifest, shards: list[Shard], lines: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    """What `stream.json` says, of the whole and of every stage."""
    sums: dict[str, int] = {}
    for shard in shards:
        sums[shard.stage] = sums.get(shard.stage, 0) + int(lines[shard.number]["digest"], 16)
    stages = []
    for stage, total in sums.items():
        parts = [shard for shard in shards if shard.stage == stage]
        stages.append(
            {
                "stage": stage,
                "start": parts[0].start,
                "stop": parts[-1].stop,
                "sequence_length": parts[0].sequence_length,
                "tokens": sum(shard.tokens for shard in parts),
                "digest": digest(total),
            }
        )
    return {
        "recipe": run.recipe.name,
        **planned.inputs,
        **planned.settings,
        "shards": len(shards),
        "tokens": sum(shard.tokens for shard in shards),
        "digest": digest(sum(sums.values())),
        "isolate_documents": run.recipe.training.isolate_documents,
        "stages": stages,
    }
