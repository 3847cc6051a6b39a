"""The code in the card of an adapted model, run as its reader runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.backbone.expand import expand
from sapwood.cli.main import app

pytestmark = pytest.mark.slow

TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.content }}{% endfor %}"


def test_the_code_for_transformers_runs(tiny_recipe: Callable[..., Path], tiny_backbone: Path, tmp_path: Path) -> None:
    talking, backbone = tmp_path / "talking", tmp_path / "deeper"
    shutil.copytree(tiny_backbone, talking)
    (talking / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    expand(talking, backbone, 1)
    stages = [{"name": "only", "tokens": 1024, "mixture": {"zh": 1, "en": 1}}]
    path = tiny_recipe(model=str(backbone), stages=stages)
    result = CliRunner().invoke(app, ["run", str(path), "--runs", str(tmp_path / "runs")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    model = tmp_path / "runs" / "tiny" / "model"
    card = (model / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in card
    code, _ = re.findall(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
    assert "apply_chat_template" in code
    assert 'dtype="float32"' in code
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=model, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("A tree adds a ring of living wood every year, and")
