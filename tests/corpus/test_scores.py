from __future__ import annotations

from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.perplexity import Score, Scores, write_scores
from sapwood.errors import SapwoodError

KEYS = [xxhash.xxh3_128_hexdigest(bytes([number])) for number in range(9)]
SCORES = st.builds(Score, st.floats(0, 1e9), st.integers(0, 2**40), st.integers(0, 2**40))


@given(st.dictionaries(st.sampled_from(KEYS[:8]), SCORES, min_size=1))
def test_scores_come_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, scores: dict[str, Score]) -> None:
    directory = tmp_path_factory.mktemp("scores")
    for number, (key, score) in enumerate(scores.items()):
        write_scores(directory / f"{number % 3}.jsonl", {key: score})
    found = Scores.read(directory)
    assert len(found) == len(scores)
    assert {key: found.get(key) for key in scores} == scores
    assert found.get(KEYS[8]) is None
    assert found.lacks(KEYS).tolist() == [key not in scores for key in KEYS]


def test_a_line_cut_short_is_left_out_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    write_scores(path, {KEYS[0]: Score(1.5, 2, 3)})
    write_scores(path, {KEYS[1]: Score(2.5, 2, 3)})
    path.write_bytes(path.read_bytes()[:-5])
    assert Scores.read(tmp_path).lacks(KEYS[:2]).tolist() == [False, True]
    write_scores(path, {KEYS[2]: Score(3.5, 2, 3)})
    assert Scores.read(tmp_path).lacks(KEYS[:3]).tolist() == [False, True, False]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", {KEYS[0]: Score(1.5, 2, 3)})
    with (tmp_path / "scores.jsonl").open("a") as file:
        file.write('{"documents": []}\n')
    with pytest.raises(SapwoodError, match=r"scores.jsonl, line 2: not scores .*Remove the line"):
        Scores.read(tmp_path)


def test_nothing_was_written(tmp_path: Path) -> None:
    assert Scores.read(tmp_path / "none").lacks(KEYS).all()
