from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.recipe.data import Assembly, Corruption, Source
from sapwood.recipe.units import parse_share
from sapwood.synthesis import programs
from sapwood.synthesis.item import Item
from sapwood.synthesis.programs import make_items
from sapwood.synthesis.source import write_source

pytestmark = pytest.mark.slow

WANTED = {"chain_sum": 5, "calendar_arithmetic": 3, "gsm_symbolic": 4}
BY_HASH = {"isomorphic_strings": 3, "ransom_note": 3, "polynomial_multiplication": 2, "word_ladder": 1}
"""Generators whose items follow the hash seed of their process."""

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym is not installed (sapwood[programs])"
)


@needs_package
def test_makes_items_in_turn() -> None:
    items = list(make_items("puzzles", WANTED, 7))
    assert len(items) == 12
    assert [item.format for item in items[:4]] == ["chain_sum", "calendar_arithmetic", "gsm_symbolic", "chain_sum"]
    assert len({item.id for item in items}) == 12
    sums = [item for item in items if item.format == "chain_sum"]
    assert {item.discipline for item in sums} == {"arithmetic"}
    for item in sums:
        expression = item.question.partition(":")[2].rstrip("= ")
        terms = expression.replace(" - ", " + -").split(" + ")
        assert sum(map(int, terms)) == int(item.answer)


REFUSED = {"boxnet", "composite", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}
"""Generators without an exact answer, or that need settings of their own."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What two processes with other hash seeds, as users have them, make at once: a source, and of all generators."""
    script = (
        "import sys, orjson; from pathlib import Path; from reasoning_gym.factory import DATASETS\n"
        "from sapwood.recipe.data import Source; from sapwood.synthesis.source import write_source\n"
        "from sapwood.synthesis.programs import UNSTABLE, make_items\n"
        f"write_source('puzzles', Source(programs={WANTED | BY_HASH!r}), 7, Path(sys.argv[1]))\n"
        f"names = sorted(DATASETS.keys() - {REFUSED!r} - set(UNSTABLE))\n"
        "items = [item.to_json() for item in make_items('all', dict.fromkeys(names, 2), 7)]\n"
        "Path(sys.argv[1], 'all.json').write_bytes(orjson.dumps(items))"
    )
    directories = [tmp_path_factory.mktemp(f"hash-seed-{number}") for number in (1, 2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(directory)], env={**os.environ, "PYTHONHASHSEED": str(number)}
        )
        for number, directory in enumerate(directories, 1)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    return directories


@needs_package
def test_the_seed_decides_in_any_process(elsewhere: list[Path], tmp_path: Path) -> None:
    made, other = ((directory / "documents.jsonl").read_bytes() for directory in elsewhere)
    source = Source(programs=WANTED | BY_HASH)
    assert other == made
    assert write_source("puzzles", source, 8, tmp_path / "c").read_bytes() != made
    assert write_source("riddles", source, 7, tmp_path / "d").read_bytes() != made


@needs_package
def test_every_generator_makes_the_same_items_in_any_process(elsewhere: list[Path]) -> None:
    first, second = (orjson.loads((directory / "all.json").read_bytes()) for directory in elsewhere)
    differ = {one["format"] for one, other in zip(first, second, strict=True) if one != other}
    assert not differ
    assert len({item["format"] for item in first}) >= 98


@needs_package
def test_what_is_written_is_not_written_again(tmp_path: Path) -> None:
    path = write_source("puzzles", Source(programs=WANTED), 7, tmp_path)
    written = path.stat().st_mtime_ns
    assert write_source("puzzles", Source(programs=WANTED), 7, tmp_path).stat().st_mtime_ns == written
    assert write_source("puzzles", Source(programs={"gcd": 2}), 7, tmp_path).stat().st_mtime_ns != written
    assert len(read_lines(path)) == 2


@needs_package
def test_documents_are_assembled_and_made_wrong_as_the_source_says(tmp_path: Path) -> None:
    template = Assembly(template="Q: {{ question }}{{ joiner }}A: {{ answer }}", joiner=" | ")
    right = write_source("puzzles", Source(programs=WANTED, assembly=template), 7, tmp_path / "right")
    for document in read_lines(right):
        assert document["text"] == f"Q: {document['question']} | A: {document['answer']}"
        assert not document["corrupted"]
    corruption = Corruption(share=parse_share("50%"), ways=["numbers"])
    wrong = write_source("puzzles", Source(programs={"chain_sum": 10}, corrupt=corruption), 7, tmp_path / "wrong")
    exact = {item.question: item.answer for item in make_items("puzzles", {"chain_sum": 10}, 7)}
    documents = read_lines(wrong)
    changed = [document for document in documents if document["corrupted"]]
    assert len(changed) == 5
    for document in documents:
        assert (Item.from_json(document).answer != exact[document["question"]]) == (document in changed)


@needs_package
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chain_sums", "Did you mean 'chain_sum'"),
        ("propositional_logic", "without an exact answer"),
        ("composite", "settings of its own"),
        ("codeio", "does not always make the same items"),
        ("knight_swap", "does not always make the same items"),
    ],
)
def test_generators_that_do_not_serve_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(SapwoodError, match=message):
        write_source("puzzles", Source(programs={name: 2}), 0, tmp_path)
    assert not (tmp_path / "documents.jsonl").exists()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setattr(programs, "_PACKAGE", "no-such-package")
    with pytest.raises(SapwoodError, match=r"pip install 'sapwood\[programs\]'"):
        write_source("puzzles", Source(programs=WANTED), 0, tmp_path)
