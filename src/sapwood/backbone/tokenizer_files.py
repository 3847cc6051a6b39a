"""The files of a tokenizer, written so that whoever opens them gets what was trained on."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from sapwood.files import read_json, write_atomic, write_json

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
_SPECIAL_TOKENS, _ADDED_TOKENS = "special_tokens_map.json", "added_tokens.json"


def write_tokenizer(directory: Path, content: str, gone: Collection[str], end: str | None) -> None:
    """Writes a tokenizer.json with this content into a directory that holds a copy of the model's other files.

    The tokens in `gone` are removed from what stands beside it; where one of them is the end of a text, `end` takes its
    place.
    """
    write_atomic(directory / TOKENIZER, content)
    for name in (TOKENIZER_CONFIG, _SPECIAL_TOKENS):
        path = directory / name
        if path.exists():
            settings = read_json(path)
            ended = {"eos_token": end} if end is not None and _spelled(settings.get("eos_token")) in gone else {}
            left = _without(settings, gone) | ended
            if left != settings:
                write_json(path, left)
    if (directory / _ADDED_TOKENS).exists():
        added = read_json(directory / _ADDED_TOKENS)
        write_json(directory / _ADDED_TOKENS, {token: number for token, number in added.items() if token not in gone})


def _without(settings: Any, gone: Collection[str]) -> Any:
    """Settings without anything that names one of the tokens in `gone`."""
    if isinstance(settings, dict):
        return {name: _without(value, gone) for name, value in settings.items() if _spelled(value) not in gone}
    if isinstance(settings, list):
        return [_without(value, gone) for value in settings if _spelled(value) not in gone]
    return settings


def _spelled(value: Any) -> str | None:
    """The token that a setting names, as text or as an object of its own."""
    named = value.get("content") if isinstance(value, dict) else value
    return named if isinstance(named, str) else None
