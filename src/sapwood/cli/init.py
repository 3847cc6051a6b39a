"""`sapwood init`: a recipe to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from sapwood.errors import SapwoodError
from sapwood.files import write_atomic


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("recipe.yaml"),
) -> None:
    """Write a commented recipe to start from."""
    if path.exists():
        raise SapwoodError(f"{path} is there already; name another file.")
    write_atomic(path, (files("sapwood.recipe") / "starter.yaml").read_bytes())
    typer.echo(f"Wrote {path}. Name your model and texts in it, then: sapwood plan {path}")
