"""Imports point one way, as the table in CONTRIBUTING.md says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[1] / "src" / "sapwood"
FLOORS: list[set[str]] = [
    {"errors"},
    {"files", "progress"},
    {"arrays", "recipe", "runs", "device", "statistics", "answers", "sandbox"},
    {"backbone", "generation"},
    {"likelihood"},
    {"corpus"},
    {"tokens", "synthesis"},
    {"mixture", "suites"},
    {"evaluation"},
    {"training"},
    {"report"},
    {"pipeline"},
    {"studies"},
    {"cli"},
    {"__init__", "__main__"},
]
"""Packages, and modules of the root. Each may import what is on a lower floor, and itself."""
WITHOUT_TORCH = [
    "recipe",
    "runs",
    "statistics",
    "answers",
    "sandbox",
    "generation",
    "synthesis",
    "corpus",
    "tokens",
    "mixture",
    "report",
]
SCORING = {"corpus/perplexity.py", "corpus/topics/encoder.py"}
"""The modules of these packages that run a model. Nothing loads them before there is something to score or to train."""


def place_of(path: Path) -> str:
    """The package of a module, or the module of the root."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The packages and root modules of sapwood that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "sapwood":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        found |= {name.split(".")[1] for name in names if name.startswith("sapwood.")}
    return found


@pytest.mark.parametrize("floor", range(len(FLOORS)))
def test_a_module_imports_only_lower_floors(floor: int) -> None:
    below: set[str] = set().union(*FLOORS[:floor])
    for path in SOURCE.glob("**/*.py"):
        place = place_of(path)
        if place in FLOORS[floor]:
            above = imported(path) - below - {place}
            assert not above, f"{path.relative_to(SOURCE)} imports {above}"


def test_every_place_exists() -> None:
    places = [place for floor in FLOORS for place in floor]
    assert sorted(places) == sorted({place_of(path) for path in SOURCE.glob("**/*.py")})


@pytest.mark.parametrize("package", WITHOUT_TORCH)
def test_some_packages_never_touch_torch(package: str) -> None:
    for path in (SOURCE / package).glob("**/*.py"):
        if str(path.relative_to(SOURCE)) in SCORING:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert not [name for name in names if name.split(".")[0] in ("torch", "transformers")], path


def test_planning_starts_without_torch() -> None:
    code = (
        "import sys, typer; from sapwood.cli.main import app; verbs = typer.main.get_command(app).commands.values();"
        "begun = {'pydantic', 'numpy', 'pyarrow'} & sys.modules.keys(); [verb.loaded for verb in verbs];"
        "found = begun | {'torch', 'transformers'} & sys.modules.keys(); sys.exit(str(found) if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


LONGEST, SHORTEST = 450, 60
SHORT_FILES = 65
"""How many modules may be shorter, beside `__init__`: protocols, and what is slow to import. It only goes down."""


def test_a_module_is_one_noun() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.glob("**/*.py")}
    assert not [str(path) for path, count in lines.items() if count > LONGEST]
    short = [path for path, count in lines.items() if count < SHORTEST and path.name != "__init__.py"]
    assert len(short) <= SHORT_FILES, "merge a short module into the noun that it belongs to"
