from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, processors
from typer.testing import CliRunner

import sapwood
from sapwood.backbone.tokenizer import open_tokenizer
from sapwood.cli.main import app
from sapwood.runs.manifest import read_manifest

pytestmark = pytest.mark.slow

BEGIN, END = 1, 0


@pytest.fixture
def begun(tiny_backbone: Path, tmp_path: Path) -> Path:
    """The tiny base model with a tokenizer that puts `<|im_start|>` in front of a text."""
    directory = shutil.copytree(tiny_backbone, tmp_path / "begun")
    path = directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", BEGIN)]
    )
    tokenizer.save(str(path))
    return directory


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, f"{result.output} {result.exception}"


def test_every_document_of_the_stream_begins_as_the_tokenizer_begins_texts(
    tiny_recipe: Callable[..., Path], begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = str(tiny_recipe(model=str(begun)))
    assert "Texts begin with <|im_start|> and end with <|endoftext|>" in invoke("plan", recipe)[1]
    assert invoke("prepare", recipe)[0] == 0
    manifest = read_manifest(tmp_path / "runs/tiny/tokens/web-en")
    assert manifest is not None
    assert (manifest.settings["begin"], manifest.settings["eos"]) == ([BEGIN], END)
    for item in sapwood.stream(recipe):
        ids = item["input_ids"].tolist()
        assert np.all(item["labels"].numpy()[item["position_ids"].numpy() == 0] == -100)
        assert {now for before, now in pairwise(ids) if before == END} <= {BEGIN}
        assert BEGIN not in {now for before, now in pairwise(ids) if before != END}


def test_a_recipe_overrides_how_texts_begin(
    tiny_recipe: Callable[..., Path], begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = str(tiny_recipe(model=str(begun), tokenizer={"begin": "none"}))
    status, output = invoke("plan", recipe)
    assert status == 0
    assert "Texts begin with nothing" in output
    assert "the model's tokenizer begins them with <|im_start|>" in output
    assert invoke("prepare", recipe)[0] == 0
    assert not any(BEGIN in item["input_ids"].tolist() for item in sapwood.stream(recipe))
    assert open_tokenizer(begun).begin == (BEGIN,)
    status, output = invoke("train", recipe, "tokenizer.begin=auto")
    assert status != 0
    assert "Run `sapwood prepare` again" in output


@pytest.mark.parametrize("verb", ["plan", "prepare", "run"])
def test_a_token_that_the_tokenizer_lacks_is_named_with_its_line(
    tiny_recipe: Callable[..., Path], tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tiny_recipe(tokenizer={"begin": "<|im_stort|>"})
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    line = path.read_text().splitlines().index('  "begin": "<|im_stort|>"') + 1
    status, output = invoke(verb, str(path))
    assert status != 0
    assert f"recipe.yaml:{line}: tokenizer.begin: found '<|im_stort|>'" in output
    assert "Did you mean '<|im_start|>'" in output
