"""What a model's own files say of its licence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Licence:
    """As the hub's metadata have it."""

    identifier: str
    """Such as `apache-2.0`; `other` where the hub has no word for it."""
    name: str | None = None
    """What another one is called."""
    link: str | None = None
    """Where another one is to be read."""


def read_licence(directory: Path) -> Licence | None:
    """The licence that the card of the model in `directory` names, or else the file there that is one.

    None where there is neither: nothing is guessed.
    """
    return _in_card(directory / CARD) or next(_files(directory), None)


def _in_card(path: Path) -> Licence | None:
    from huggingface_hub import ModelCard

    if not path.is_file():
        return None
    try:
        data = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True).data
    except Exception:  # others wrote it: no YAML, no mapping, no UTF-8
        return None
    identifier, name, link = (data.get(f"license{end}") for end in ("", "_name", "_link"))
    return Licence(identifier, name, link) if isinstance(identifier, str) else None


def _files(directory: Path) -> Iterator[Licence]:
    return (Licence("other", link=path.name) for path in sorted(directory.glob("LICENSE*")) if path.is_file())
