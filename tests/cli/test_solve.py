"""`sapwood solve`: the example's table, the flags, and what is said of mistakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.mixture import solve as module

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "solve" / "swarm.csv"
TOKENS = [f"--tokens={item}" for item in ("web-zh=60M", "book-zh=3M", "web-en=200M", "code-en=8M")]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cvxpy")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setitem(module.solve.__kwdefaults__, "resamples", 10)


def solve(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["solve", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["solve", *map(str, arguments)])
    assert isinstance(result.exception, SapwoodError), result.output
    return str(result.exception)


def test_the_example_is_solved_under_its_caps(tmp_path: Path) -> None:
    output = tmp_path / "solution.json"
    said = solve(EXAMPLE, *TOKENS, "--budget", "100M", "--weight", "zh=2", "--output", output)
    assert "24 rows, 24 different mixtures of 4 domains, 3 metrics; not read: run" in said
    row = next(line for line in said.splitlines() if line.startswith("book-zh"))
    assert "12.0% met" in row
    assert row.endswith("4.00")
    found = json.loads(output.read_text())
    assert sum(domain["share"] for domain in found["domains"]) == pytest.approx(1)
    assert [domain["binds"] for domain in found["domains"]] == [False, True, False, False]
    assert [metric["weight"] for metric in found["metrics"]] == [0.5, 0.25, 0.25]
    assert found["metrics"][0]["held_out"]["r_squared"] > 0.95
    assert found["domains"][0]["prior"] == pytest.approx(60 / 271)


def test_lines_of_json_say_the_same_as_a_table_with_commas(tmp_path: Path) -> None:
    header, *rows = (line.split(",") for line in EXAMPLE.read_text().splitlines())
    lines = []
    for row in rows:
        record: dict[str, dict[str, float]] = {}
        for name, value in zip(header[1:], row[1:], strict=True):
            kind, _, inner = name.partition(".")
            record.setdefault(kind, {})[inner] = float(value)
        lines.append(json.dumps(record))
    path = tmp_path / "swarm.jsonl"
    path.write_text("\n".join(lines) + "\n")
    ours, theirs = (solve(table, "--pull", "0.1").splitlines()[2:] for table in (path, EXAMPLE))
    assert [line for line in ours if "best row is" not in line] == [x for x in theirs if "best row is" not in x]
    assert any("the mean of the table's mixtures" in line for line in ours)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--weight", "zhh=2"], "--weight zhh=2: the table has no 'zhh'. Did you mean 'zh'?"),
        (["--weight", "zh"], "--weight zh: write --weight METRIC=NUMBER"),
        (["--weight", "zh=0", "--weight", "en=0", "--weight", "code=0"], "--weight: every metric has 0"),
        (["--tokens", "web-zh=20Q"], "--tokens web-zh=20Q: expected a number of tokens"),
        (["--tokens", "web-zh=1M", "--tokens", "web-zh=2M"], "'web-zh' is given twice"),
        (["--tokens", "webzh=1M"], "Did you mean 'web-zh'?"),
        (["--budget", "100M"], "--budget 100M limits nothing without --tokens"),
        ([*TOKENS, "--budget", "2B"], "4 epochs of 271M tokens fill 54% of a budget of 2B"),
        (["--prior", "web-zh=1"], "Give the others too: --prior book-zh=SHARE --prior web-en=SHARE"),
        (["--pull", "-1"], "--pull -1: write a number from 0 up"),
        (["--max-epochs", "0"], "--max-epochs 0: write a number above 0"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags: list[str], message: str) -> None:
    assert message in refused(EXAMPLE, *flags)


def test_without_the_solver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    assert refused(EXAMPLE) == "Solving needs cvxpy, which is not installed: pip install 'sapwood[solve]'"
