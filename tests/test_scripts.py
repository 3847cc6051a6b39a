"""Scripts beside the package name only what there is: a module that moves takes them along."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("benchmarks", "docs", "examples", "studies", "tests/support")
    for path in (ROOT / folder).rglob("*.py")
)
BESIDE = ROOT / "tests" / "support"
COMMANDS = [
    script
    for script in SCRIPTS
    if script.startswith(("benchmarks/", "examples/")) and "ArgumentParser" in (ROOT / script).read_text("utf-8")
]


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 30


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_imports_is_there(script: str) -> None:
    path = ROOT / script
    text = path.read_text(encoding="utf-8")
    # Python looks beside a script by itself, and among the tests' support where the script asks it to.
    places = (path.parent, BESIDE) if '"tests" / "support"' in text else (path.parent,)
    missing = [
        f"line {node.lineno}: {module}.{name}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module, name in _names(node)
        if not _is_there(places, module, name)
    ]
    assert not missing


@pytest.mark.parametrize("script", COMMANDS)
def test_a_command_starts(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    monkeypatch.setattr(sys, "path", [str((ROOT / script).parent), *sys.path])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


def _names(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    if isinstance(node, ast.Import):
        return [(alias.name, "") for alias in node.names]
    return [(node.module or "", alias.name) for alias in node.names]


def _is_there(places: tuple[Path, ...], module: str, name: str) -> bool:
    """Whether a module has a name. Of other people's modules, which may not be installed, no name is looked up."""
    if module.split(".")[0] == "sapwood":
        found = importlib.import_module(module)
        return not name or hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None
    beside = next((file for place in places if (file := place / f"{module}.py").is_file()), None)
    if beside is None:
        ours = {path.stem for path in (ROOT / "tests").rglob("*.py")} | {Path(script).stem for script in SCRIPTS}
        return module not in ours
    return not name or name in _defined(beside)


def _defined(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names.update(alias.asname or alias.name for alias in node.names)
    return names
