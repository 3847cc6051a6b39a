"""The manual says what the code does."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
from pathlib import Path

import pytest

import sapwood
from sapwood.recipe import load_recipe

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent.name for path in (ROOT / "src" / "sapwood").glob("*/__init__.py"))


@pytest.mark.parametrize("page", ["recipe", "python"])
def test_a_reference_is_up_to_date(page: str) -> None:
    path = ROOT / "docs" / f"build_{page}_reference.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") == module.render(), "run `make docs`"


def test_the_recipe_in_the_readme_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^    name: my-run\n(?:    .*\n)+", text, re.MULTILINE)
    assert block is not None
    path = tmp_path / "recipe.yaml"
    path.write_text(block.group(), encoding="utf-8")
    assert load_recipe(path).name == "my-run"


def test_the_readme_installs_the_torch_that_was_tested() -> None:
    (tested,) = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"torch==(\S+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert named == [tested]


PAGES = [path for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[\d{3}\]\((.+)\)", index, re.MULTILINE)) == sorted(
        path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")
    )


MANUAL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.parametrize("page", MANUAL, ids=lambda path: path.name)
def test_files_and_modules_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {ROOT / found for found in re.findall(r"(?<![\w/.-])(?:src|tests)/[a-z0-9_/-]+(?:\.\w+)*", text)}
    inside = "|".join(PACKAGES)
    named |= {
        ROOT / "src" / "sapwood" / found
        for found in re.findall(rf"(?<![\w/.-])(?:sapwood/)?((?:{inside})/[\w/]+\.py)", text)
    }
    assert not [str(path) for path in named if not path.exists()]
    dotted = re.findall(r"(?<![\w/.-])sapwood((?:\.(?!json\b|jsonl\b|yaml\b)\w+)+)", text)
    assert not [f"sapwood{name}" for name in dotted if not _is_known(name.strip(".").split("."))]


def _is_known(parts: list[str]) -> bool:
    """Whether a dotted name is a public one, a module, or something that a module defines."""
    if parts[0] in sapwood.PUBLIC or parts[0].startswith("__"):
        return True
    place = ROOT / "src" / "sapwood"
    for number, part in enumerate(parts):
        if (place / f"{part}.py").exists():
            rest, source = parts[number + 1 :], (place / f"{part}.py").read_text(encoding="utf-8")
            return not rest or bool(re.search(rf"^(?:def |class )?{rest[0]}\b", source, re.MULTILINE))
        place /= part
    return place.is_dir()


def test_the_table_of_floors_is_that_of_the_architecture_test() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found: list[set[str]] = []
    for floor, module in re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE):
        while len(found) < int(floor):
            found.append(set())
        found[int(floor) - 1].add(module)
    architecture = (ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8")
    block = re.search(r"^FLOORS: list\[set\[str\]\] = (\[.*?^\])", architecture, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert found == ast.literal_eval(block.group(1))


def test_functions_that_the_architecture_names_are_in_their_files() -> None:
    rows = re.findall(
        r"^\| \d+ \| \[.*$", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) > 20
    for row in rows:
        _, files, names, _ = row.strip("| ").split(" | ")
        source = "".join(
            (ROOT / "docs" / target).read_text(encoding="utf-8") for target in re.findall(r"\]\(([^)]+)\)", files)
        )
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^ *(?:def|class) {name}\b", source, re.MULTILINE), f"{files} has no {name}"


@pytest.mark.parametrize("package", [package for package in PACKAGES if package != "cli"])
def test_the_example_of_a_package_is_true(package: str) -> None:
    found = doctest.testmod(importlib.import_module(f"sapwood.{package}"))
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("package", PACKAGES)
def test_the_nouns_of_a_package_are_in_it(package: str) -> None:
    place = ROOT / "src" / "sapwood" / package
    files = list(place.rglob("*.py"))
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    known = {path.stem for path in files} | {path.name for path in place.rglob("*") if path.is_dir()} | set(PACKAGES)
    introduction, _, _ = (importlib.import_module(f"sapwood.{package}").__doc__ or "").partition(">>>")
    named = set(re.findall(r"`(\w+)/?`", introduction)) - known
    assert not {name for name in named if not re.search(rf"^ *(?:def|class) {name}\b", source, re.MULTILINE)}
