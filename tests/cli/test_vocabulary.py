"""`sapwood vocabulary` and `sapwood expand`, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.recipe import load_recipe

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def sapwood(*arguments: object) -> tuple[str, str]:
    """What a verb printed to standard output, and what to standard error."""
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(result.exception, SapwoodError), result.output
    return str(result.exception)


def test_a_tokenizer_is_measured_on_the_sources_of_a_recipe(
    tiny_recipe: TinyRecipe, tiny_backbone: Path, tmp_path: Path
) -> None:
    output = tmp_path / "fertility.json"
    said, _ = sapwood("vocabulary", "measure", tiny_backbone, tiny_recipe(), "--output", output)
    found = json.loads(output.read_text())[str(tiny_backbone)]
    assert list(found) == ["web-zh", "book-zh", "web-en", "news-en"]
    for name, counts in found.items():
        row = next(line for line in said.splitlines() if line.startswith(name))
        assert f"{counts['tokens']:,}" in row
        assert f"{counts['tokens'] / counts['characters']:.3f}" in row


def test_the_text_of_files_stands_in_a_column(tiny_recipe: TinyRecipe, tiny_backbone: Path, tmp_path: Path) -> None:
    (tmp_path / "poems.csv").write_text("text,poem\n,a long line of a poem\n,and another\n", encoding="utf-8")
    said, _ = sapwood("vocabulary", "measure", tiny_backbone, tmp_path / "poems.csv", "--column", "poem", "--json")
    (row,) = json.loads(said)["tables"][0]["rows"]
    assert row["MB"] == 32 / 1e6
    assert "there is no text in its 1 files" in refused("vocabulary", "measure", tiny_backbone, tmp_path / "poems.csv")
    message = refused("vocabulary", "measure", tiny_backbone, tiny_recipe(), "--column", "poem")
    assert "is for files" in message
    message = refused(
        *("vocabulary", "extend", tiny_backbone, "--text", tmp_path / "poems.csv", "--size", 1, "--column", "verse"),
        *("--output", tmp_path / "extended"),
    )
    assert "Source '--text': there is no text" in message


def test_tokenizers_are_compared_on_files_without_their_weights(
    tiny_recipe: TinyRecipe, tiny_backbone: Path, tokenizer_directory: Path, tmp_path: Path
) -> None:
    tiny_recipe()
    said, _ = sapwood(
        *("vocabulary", "measure", tiny_backbone, "--compare", tokenizer_directory),
        *(tmp_path / "web-zh.jsonl", tmp_path / "*-en.jsonl", "--bytes", "2KB"),
    )
    rows = said.splitlines()[1:]
    assert [row.split()[0] for row in rows[::2]] == ["web-zh.jsonl", "*-en.jsonl"]
    assert all(str(tiny_backbone) in row and " 1.00 " in row for row in rows[::2])
    assert all(str(tokenizer_directory) in row and " 1.00 " not in row for row in rows[1::2])


def test_a_model_is_extended_and_says_what_comes_next(
    tiny_recipe: TinyRecipe, tiny_backbone: Path, tmp_path: Path
) -> None:
    tiny_recipe()
    target = tmp_path / "adapted"
    said, told = sapwood(
        *("vocabulary", "extend", tiny_backbone, "--text", tmp_path / "*-zh.jsonl"),
        *("--keep", tmp_path / "web-en.jsonl", "--size", 30, "--output", target),
    )
    rows = [line.split() for line in said.splitlines()[1:]]
    assert [row[-8:][0] for row in rows] == ["before", "after", "before", "after"]
    counts = [int(row[-6].replace(",", "")) for row in rows]
    assert counts[1] < counts[0]
    assert counts[3] == counts[2]
    assert "Pieces: 30 more" in told
    assert "trainable: [embeddings]" in told
    assert load_recipe(tmp_path / "recipe.yaml", [f"model={target}", "stages.0.trainable=[embeddings]"])

    few = sapwood(
        *("vocabulary", "extend", tiny_backbone, "--text", tmp_path / "book-zh.jsonl"),
        *("--size", 5000, "--output", tmp_path / "more"),
    )
    assert "of 5,000 pieces: the texts hold no more" in few[1]


def test_a_model_is_expanded_and_says_what_to_train(
    tiny_recipe: TinyRecipe, tiny_backbone: Path, tmp_path: Path
) -> None:
    _, told = sapwood("expand", tiny_backbone, "--blocks", 2, "--output", tmp_path / "adapted")
    assert "Blocks: 2 before, 4 now" in told
    patterns = "[model.layers.1.*, model.layers.3.*]"
    assert f"training: {{trainable: {patterns}}}" in told
    recipe = load_recipe(tiny_recipe(), [f"training.trainable={patterns}"])
    assert recipe.training.trainable == ["model.layers.1.*", "model.layers.3.*"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["measure", "MODEL", "a.yaml", "b.jsonl"], "a.yaml is a recipe: give one recipe, or files alone"),
        (["measure", "MODEL", "none.jsonl"], "cannot open none.jsonl"),
        (["measure", "MODEL", "web-zh.jsonl", "--bytes", "4Q"], "--bytes 4Q: expected a size"),
        (["measure", "MODEL", "web-zh.jsonl", "--bytes", "0"], "--bytes is 0"),
        (["extend", "MODEL", "--text", "web-zh.jsonl", "--size", "4", "--output", "."], ". is there already"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str],
    message: str,
    tiny_recipe: TinyRecipe,
    tiny_backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_recipe()
    monkeypatch.chdir(tmp_path)
    assert message in refused("vocabulary", *(str(tiny_backbone) if a == "MODEL" else a for a in arguments))
