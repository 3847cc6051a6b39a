from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sapwood.corpus import inputs
from sapwood.corpus.block import Position, is_filtered
from sapwood.corpus.formats import Fields, Row
from sapwood.corpus.inputs import InputFile, Part, list_files, split_files
from sapwood.corpus.read import ReadDocuments, read_part, sample_texts
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Normalise, Source


def rows_of(parts: list[Part], start: int = 0) -> list[Row]:
    found = []
    for part in parts:
        with Path(part.file.url).open("rb") as stream:
            found += read_part(stream, part, Fields(), max(start, part.row))
    return found


def known(rows: list[Row]) -> list[tuple[int, object]]:
    return [(row.number, row.text) for row in rows]


LINES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: json.dumps({"text": text})),
        st.sampled_from(["", "broken", "   "]),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, st.integers(1, 200), st.integers(1, 64), st.booleans(), st.integers(0, 40))
def test_parts_have_the_rows_of_the_file(
    tmp_path: Path, lines: list[str], part_bytes: int, counted: int, ended: bool, start: int
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + ("\n" if ended else ""), encoding="utf-8")
    file = InputFile("a.jsonl", str(path), path.stat().st_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "PART_BYTES", part_bytes)
        patch.setattr(inputs, "_COUNTED_BYTES", counted)
        parts = split_files([file])
    whole = [Part(file, 0, file.size, 0, file.size)]
    assert known(rows_of(parts)) == known(rows_of(whole))
    assert known(rows_of(parts, start)) == known(rows_of(whole, start))
    assert sum(part.size for part in parts) == file.size
    if file.size > part_bytes:
        assert all(part.size >= part_bytes for part in parts[:-1])


def test_row_groups_of_parquet_are_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {number}" for number in range(1000)]}), path, row_group_size=90)
    monkeypatch.setattr(inputs, "PART_BYTES", 1500)
    files = list_files("web", [str(path)])
    parts = split_files(files)
    assert len(parts) > 3
    assert known(rows_of(parts)) == [(number, f"text {number}") for number in range(1000)]
    assert known(rows_of(parts, 777)) == [(number, f"text {number}") for number in range(777, 1000)]


def test_what_cannot_be_split_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "PART_BYTES", 10)
    for name, content in (("a.csv", "text\n" + "a\n" * 99), ("a.txt", "a\n" * 99), ("broken.parquet", "x" * 99)):
        (tmp_path / name).write_text(content)
        (part,) = split_files(list_files("web", [str(tmp_path / name)]))
        assert (part.start, part.row, part.size) == (0, 0, len(content))


def test_documents_say_where_they_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "PART_BYTES", 400)
    lines = [json.dumps({"text": f"text {number}", "at": f"x.org/{number}"}) for number in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(["broken", *lines]))
    (tmp_path / "b.txt").write_text("text")
    parts = split_files(list_files("web", [str(tmp_path / "*.*")]))
    assert len(parts) > 4
    tasks = [list(ReadDocuments(parts, Fields("text", "at"), tmp_path / "out").run(None, rank, 3)) for rank in range(3)]
    found = {document.metadata["origin"]: document for task in tasks for document in task}
    assert len(found) == 62
    assert is_filtered(found["a.jsonl#0"])
    assert found["a.jsonl#60"].text == "text 59"
    assert found["a.jsonl#60"].metadata["url"] == "x.org/59"
    assert found["b.txt#0"].metadata["url"] is None
    for task in tasks:
        positions = [document.metadata["position"] for document in task]
        assert positions == sorted(positions)
        assert isinstance(positions[0], Position)


def write(path: Path, *rows: object) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows))


def test_every_file_gives_equally_much_as_far_as_it_can(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"text": "a" * 100})
    write(tmp_path / "b.jsonl", {"text": "b" * 10})
    write(tmp_path / "c.jsonl", {"text": "c" * 30}, {"text": "d" * 30}, {"text": "e" * 30})
    source = Source(files=[str(tmp_path / "*.jsonl")])
    assert sample_texts("web", source, Normalise(), 90) == ["a" * 30, "b" * 10, "c" * 30, "d" * 20]
    assert sum(map(len, sample_texts("web", source, Normalise(), 10**6))) == 200


def test_a_character_is_not_cut(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"text": "树木"})
    source = Source(files=[str(tmp_path / "a.jsonl")])
    assert sample_texts("web", source, Normalise(), 5) == ["树"]


def test_texts_are_normalised_and_other_rows_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"content": "樹\r\n木\u200b"}, {"content": 3}, {"text": "x"}, {"content": "\u200b"})
    source = Source(files=[str(tmp_path / "a.jsonl")], text="content", language="zh")
    assert sample_texts("web", source, Normalise(script="simplified"), 99) == ["树\n木"]
    with pytest.raises(SapwoodError, match=r"'web': there is no text in its 1 files \(4 rows: no text column\)"):
        sample_texts("web", source.model_copy(update={"text": "body"}), Normalise(), 1)
