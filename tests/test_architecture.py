"""Imports point one way, as the table in CONTRIBUTING.md says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "sapwood"
ORDER = [
    "recipe",
    "answers",
    "backbone",
    "likelihood",
    "generation",
    "corpus",
    "tokens",
    "synthesis",
    "mixture",
    "evaluation",
    "training",
    "report",
    "pipeline",
    "cli",
]
WITHOUT_TORCH = ["recipe", "answers", "generation", "synthesis", "corpus", "tokens", "mixture", "report"]
SCORING = {"corpus/perplexity.py", "corpus/topics/encoder.py"}
"""The modules of these packages that run a model. Nothing loads them before there is something to score or to train."""


def imported(path: Path) -> set[str]:
    """The packages of sapwood that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("sapwood.")}
    return found


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_above_it(package: str) -> None:
    allowed = set(ORDER[: ORDER.index(package) + 1])
    for path in (SOURCE / package).glob("**/*.py"):
        below = imported(path) & set(ORDER) - allowed
        assert not below, f"{path.relative_to(SOURCE)} imports {below}"


def test_every_package_has_its_place() -> None:
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} == set(ORDER)


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
    code = "import sys, sapwood.cli.main; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
