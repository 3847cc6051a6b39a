from __future__ import annotations

import json
from pathlib import Path

import pytest

from sapwood.corpus.sample import sample_texts
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Normalise, Source


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
