"""Exported files hold the stream, to the token, and an export that is killed goes on."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from sapwood.mixture.export.megatron import megatron_type, write_megatron
from sapwood.mixture.export.parquet import write_parquet
from sapwood.mixture.export.shards import plan_shards
from sapwood.mixture.ledger import Round
from sapwood.mixture.stream import Sequence, digest
from sapwood.mixture.weights import Mixture
from sapwood.tokens.sequence import Span

TYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.float64, 7: np.float32, 8: np.uint16}


def read_megatron(prefix: Path) -> list[np.ndarray]:
    """An own reader of indexed datasets: the sequences, of which every one must be a document."""
    index, content = prefix.with_suffix(".idx").read_bytes(), prefix.with_suffix(".bin").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, sequences, bounds = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    place = 34
    lengths = np.frombuffer(index, "<i4", sequences, place)
    pointers = np.frombuffer(index, "<i8", sequences, place + 4 * sequences)
    documents = np.frombuffer(index, "<i8", bounds, place + 12 * sequences)
    assert len(index) == place + 12 * sequences + 8 * bounds
    assert documents.tolist() == list(range(sequences + 1))
    dtype = np.dtype(TYPES[code])
    assert len(content) == int(lengths.sum()) * dtype.itemsize
    return [
        np.frombuffer(content, dtype, int(length), int(pointer))
        for length, pointer in zip(lengths, pointers, strict=True)
    ]


def digest_of(rows: list[np.ndarray], first: int) -> str:
    """The digest as it is documented: the sum of xxh3 hashes of the int64 ids, each seeded by its position."""
    hashes = (xxhash.xxh3_64_intdigest(row.astype("<i8").tobytes(), seed=first + n) for n, row in enumerate(rows))
    return f"{sum(hashes) % 2**64:016x}"


def sequence(position: int, length: int, largest: int) -> Sequence:
    tokens = np.random.default_rng(position).integers(0, largest, length)
    half = length // 2
    spans = (Span(3 * position, 5, half, 0), Span(3 * position + 1, 0, length - half, half))
    return Sequence(position, ("web", "web/plants")[position % 2], position * length, tokens, spans)


@given(count=st.integers(0, 9), length=st.integers(1, 40), stored=st.sampled_from(["uint16", "uint32"]))
def test_what_megatron_reads_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, count: int, length: int, stored: str
) -> None:
    directory = tmp_path_factory.mktemp("export")
    dtype = megatron_type([stored])
    written = [sequence(7 + n, length, 65_536 if stored == "uint16" else 200_000) for n in range(count)]
    write_megatron(directory / "stream-00000", iter(written), length, dtype)
    rows = read_megatron(directory / "stream-00000")
    assert all(np.array_equal(row, part.tokens) for row, part in zip(rows, written, strict=True))
    assert digest_of(rows, 7) == digest(sum(part.digest for part in written))
    assert sorted(path.name for path in directory.iterdir()) == ["stream-00000.bin", "stream-00000.idx"]


def test_the_type_of_ids_is_one_that_megatron_has() -> None:
    assert megatron_type(["uint16", "uint16"]) == np.uint16
    assert megatron_type(["uint16", "uint32"]) == np.int32


def test_parquet_holds_the_ids_and_the_pieces_of_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sapwood.mixture.export.parquet._GROUP_TOKENS", 64)
    written = [sequence(n, 20, 60_000) for n in range(11)]
    write_parquet(tmp_path / "part", iter(written), 20, "adaptation", lambda domain, number: f"{domain}:{number}")
    assert pq.ParquetFile(tmp_path / "part.parquet").num_row_groups == 4
    rows = pq.read_table(tmp_path / "part.parquet").to_pylist()
    assert len(rows) == 11
    for row, part in zip(rows, written, strict=True):
        assert row["position"] == part.position
        assert row["domain"] == part.domain
        assert row["stage"] == "adaptation"
        assert row["input_ids"] == part.tokens.tolist()
        assert row["spans"] == [
            {
                "document": f"{part.domain}:{span.document}",
                "start": span.start,
                "length": span.length,
                "offset": span.offset,
            }
            for span in part.spans
        ]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> object:
        yield sequence(0, 20, 9)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_megatron(tmp_path / "part", broken(), 20, np.dtype("<i4"))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        write_parquet(tmp_path / "part", broken(), 20, "a", lambda *_: "")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def round_of(index: int, stage: str, start: int, sequences: int, length: int) -> Round:
    return Round(
        index=index,
        stage=stage,
        start=start,
        start_tokens=0,
        sequences=sequences,
        sequence_length=length,
        mixture=Mixture({}, {}),
        first={},
        reasons=(),
    )


@given(
    sizes=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), min_size=1, max_size=6),
    shard_tokens=st.integers(1, 2000),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_shards_cover_what_is_asked_for_once_and_in_order(
    sizes: list[tuple[int, int]], shard_tokens: int, share: tuple[float, float]
) -> None:
    rounds: list[Round] = []
    lengths = {stage: 16 << stage for _, stage in sizes}
    for count, stage in sorted(sizes, key=lambda size: size[1]):  # rounds of a stage follow each other
        rounds.append(round_of(len(rounds), f"{stage}", rounds[-1].stop if rounds else 0, count, lengths[stage]))
    start, stop = sorted(int(part * rounds[-1].stop) for part in share)
    shards = plan_shards(rounds, start, stop, shard_tokens)
    covered = [position for shard in shards for position in range(shard.start, shard.stop)]
    assert covered == list(range(start, stop))
    assert [shard.number for shard in shards] == list(range(len(shards)))
    for shard in shards:
        assert shard.tokens <= max(shard_tokens, shard.sequence_length)
        inside = {entry.stage for entry in rounds if entry.start < shard.stop and shard.start < entry.stop}
        assert inside == {shard.stage}
