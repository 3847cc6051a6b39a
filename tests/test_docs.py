"""The manual says what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from sapwood.recipe import load_recipe

ROOT = Path(__file__).parents[1]


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


PAGES = [path for pattern in ("*.md", "docs/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
