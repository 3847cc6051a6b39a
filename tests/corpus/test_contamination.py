from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.annotate import annotate
from sapwood.corpus.benchmark_index import BenchmarkIndex, Item
from sapwood.corpus.contamination import (
    apply_cuts,
    benchmark_fingerprint,
    contamination_step,
    cuts_of,
    load_items,
)
from sapwood.corpus.normalise import normalise
from sapwood.corpus.store import SourceStore
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Decontamination, Engine, Normalise

CHANCE = random.Random(0)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=CHANCE.randint(2, 9))) for _ in range(3000)]
HAN = [chr(CHANCE.randrange(0x4E00, 0x9FA5)) for _ in range(2000)]


def english(words: int) -> list[str]:
    return CHANCE.choices(WORDS, k=words)


QUESTIONS = [" ".join(english(45)) + "?" for _ in range(30)]
CHINESE = ["".join(CHANCE.choices(HAN, k=60)) + "？" for _ in range(30)]
ITEMS = [Item("math-test", number, (text, "42")) for number, text in enumerate(QUESTIONS)]
ITEMS += [Item("gaokao", number, (text, "(A)")) for number, text in enumerate(CHINESE)]
INDEX = BenchmarkIndex.build(ITEMS, 13)
FILLER = "\n".join(" ".join(english(30)) + "." for _ in range(40))


def around(text: str) -> str:
    return f"{FILLER}\nBefore it. {text} After it.\n{FILLER}"


@pytest.mark.parametrize("number", range(0, 30, 7))
@pytest.mark.parametrize(("benchmark", "texts"), [("math-test", QUESTIONS), ("gaokao", CHINESE)])
def test_items_are_found_with_their_place(benchmark: str, texts: list[str], number: int) -> None:
    text = around(texts[number])
    (hit,) = INDEX.find(text, 0.5)
    assert (hit.benchmark, hit.item, hit.overlap) == (benchmark, number, 1.0)
    assert text[hit.start : hit.end] == texts[number].rstrip("?？")


def edited(text: str, share: float) -> str:
    words = text.split(" ")
    for place in CHANCE.sample(range(len(words)), round(share * len(words))):
        words[place] = CHANCE.choice(WORDS)
    return " ".join(words)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (str.upper, 30),
        (lambda text: text.replace(" ", "\n"), 30),
        (lambda text: text.replace(" ", ", "), 30),
        (lambda text: edited(text, 0.02), 28),
        (lambda text: edited(text, 0.05), 15),
        (lambda text: " ".join(text.split()[:30]), 28),
    ],
)
def test_small_changes_do_not_hide_an_item(change: Callable[[str], str], found: int) -> None:
    hits = [INDEX.find(around(change(question)), 0.4) for question in QUESTIONS]
    assert sum(bool(item) for item in hits) >= found


def test_what_is_in_no_benchmark_is_not_found() -> None:
    assert INDEX.find(FILLER, 0.1) == []
    assert INDEX.find(" ".join(english(20_000)), 0.1) == []
    assert INDEX.find("", 0.1) == []
    assert BenchmarkIndex.build([], 13).find(FILLER, 0.1) == []


def test_phrases_scattered_over_a_document_are_no_leak() -> None:
    words = QUESTIONS[0].rstrip("?").split()
    scattered = "".join(f"{' '.join(words[start : start + 16])}\n{FILLER}\n" for start in range(0, 45, 4))
    assert INDEX.find(scattered, 0.5) == []


def test_what_many_items_share_is_evidence_for_none() -> None:
    shared = " ".join(english(40))
    items = [Item("b", number, (f"{shared} {' '.join(english(30))}",)) for number in range(9)]
    index = BenchmarkIndex.build(items, 13)
    assert index.find(around(shared), 0.2) == []
    assert [hit.item for hit in index.find(around(items[3].texts[0]), 0.5)] == [3]


def test_short_texts_of_an_item_count_together() -> None:
    parts = tuple(" ".join(english(9)) for _ in range(4))
    index = BenchmarkIndex.build([Item("b", 0, parts), Item("b", 1, ("too", "short"))], 13)
    assert index.find(around(parts[0]), 0.3) == []
    assert [hit.item for hit in index.find(around(" ".join(parts)), 0.9)] == [0]


def test_items_are_normalised_as_documents_are(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"q": "cafe\u0301\ufeff\r\nau lait, dÃ©jÃ  vu"}))
    patterns = [str(tmp_path / "x.jsonl")]
    assert load_items(patterns, Normalise())[0].texts == ("café\nau lait, dÃ©jÃ  vu",)
    assert load_items(patterns, Normalise(mojibake=True))[0].texts == ("café\nau lait, déjà vu",)


@pytest.mark.parametrize("script", ["simplified", "traditional", "traditional-tw", "traditional-twp", "traditional-hk"])
def test_items_are_found_in_documents_of_another_script(tmp_path: Path, script: Any) -> None:
    simplified = "这个软件把公式应用于单元格，坐标轴上的数据库里有打印机和鼠标，想象一下信息有多少"
    traditional = "這個軟體把公式應用於儲存格，座標軸上的資料庫裡有印表機和滑鼠，想像一下資訊有多少"
    (tmp_path / "x.jsonl").write_text(json.dumps({"q": simplified}) + "\n" + json.dumps({"q": traditional}))
    settings = Normalise(script=script)
    index = BenchmarkIndex.build(load_items([str(tmp_path / "x.jsonl")], settings), 8)
    for number, text in enumerate((simplified, traditional)):
        for prepared in (text, normalise(text, script=script)):
            assert number in [hit.item for hit in index.find(f"前面的话。{prepared}？后面的话。", 0.9)]


def test_whole_lines_are_cut() -> None:
    text = around(QUESTIONS[0]) + "\nlast line\n" + QUESTIONS[1]
    left = apply_cuts(text, cuts_of(text, INDEX.find(text, 0.5)))
    assert left == f"{FILLER}\n{FILLER}\nlast line\n"
    assert cuts_of(text, []) == []


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4))
def test_cutting_leaves_what_is_outside(text: str, pairs: list[tuple[int, int]]) -> None:
    edges = sorted({min(edge, len(text)) for pair in pairs for edge in pair})
    cuts = [{"start": start, "end": end} for start, end in zip(edges[::2], edges[1::2], strict=False)]
    inside = {place for cut in cuts for place in range(cut["start"], cut["end"])}
    assert apply_cuts(text, cuts) == "".join(c for place, c in enumerate(text) if place not in inside)


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    rows = [{"question": text, "options": ["(A) 1", {"x": "y"}], "label": 3} for text in QUESTIONS]
    (tmp_path / "math.jsonl.zst").write_bytes(zstandard.compress("\n".join(map(json.dumps, rows)).encode()))
    (tmp_path / "gaokao.jsonl").write_text("\n".join(json.dumps({"q": text}) for text in CHINESE) + "\n\n")
    return tmp_path


def test_items_are_loaded_from_files(benchmarks: Path) -> None:
    items = load_items([str(benchmarks / "*.jsonl*")], Normalise())
    assert len(items) == 60
    assert items[0] == Item("gaokao", 0, (CHINESE[0],))
    assert items[30] == Item("math", 0, (QUESTIONS[0], "(A) 1", "y"))
    before = benchmark_fingerprint([str(benchmarks / "*.jsonl*")])
    (benchmarks / "gaokao.jsonl").write_text("{}")
    assert benchmark_fingerprint([str(benchmarks / "*.jsonl*")]) != before


@pytest.mark.parametrize(
    ("content", "message"), [("[1]", "row 0 of x is no JSON object"), ('{"a": 1}\nx', "row 1 of x")]
)
def test_broken_benchmarks_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(SapwoodError, match=message):
        load_items([str(tmp_path / "x.jsonl")], Normalise())
    with pytest.raises(SapwoodError, match="no file matches"):
        load_items([str(tmp_path / "none*.jsonl")], Normalise())
    (tmp_path / "y.jsonl.zst").write_bytes(b"no archive")
    with pytest.raises(SapwoodError, match="cannot be decompressed"):
        load_items([str(tmp_path / "y.jsonl.zst")], Normalise())


def test_the_step_drops_or_cuts(benchmarks: Path, make_store: Callable[..., SourceStore]) -> None:
    store = make_store([FILLER, around(QUESTIONS[3]), QUESTIONS[4], around(CHINESE[5] + " " + QUESTIONS[6])])
    patterns = [str(benchmarks / "*.jsonl*")]
    found = {}
    for action in ("drop", "cut"):
        step = contamination_step(Decontamination(benchmarks=patterns, action=action), Normalise())
        manifest = annotate(store, copy.deepcopy(step), Engine(workers=1))
        columns = next(store.read_all({"contamination": ["hits", "cuts", "reason"]}))
        found[action] = {name.partition(".")[2]: column.to_pylist() for name, column in columns.items()}
        assert manifest.counts["dropped"] == {"drop": 3, "cut": 1}[action]
    reasons = [None, "holds an item of math", "holds an item of math", "holds an item of gaokao and others"]
    assert found["drop"]["reason"] == reasons
    assert found["cut"]["reason"] == [None, None, "holds an item of math", None]
    assert found["drop"]["hits"][1][0]["excerpt"] == QUESTIONS[3].rstrip("?")[:300]
    assert [len(hits) for hits in found["cut"]["hits"]] == [0, 1, 1, 2]
    assert apply_cuts(around(QUESTIONS[3]), found["cut"]["cuts"][1]) == f"{FILLER}\n{FILLER}"
