"""A small exam in files, as benchmarks are: what the tests of the evaluator ask."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sapwood.recipe.task import Task

WORDS = ["ring", "heart", "wood", "year", "living", "old"]


def choices(count: int = 6, options: int = 4) -> list[dict[str, Any]]:
    """Questions with options of different lengths, of two subjects, one after the other."""
    return [
        {
            "question": f"the tree adds a {WORDS[number % 6]} of",
            "options": [" ".join(WORDS[(number + at) % 6] for _ in range(1 + at % 3)) for at in range(options)],
            "answer": number % options,
            "topic": "ab"[number % 2],
        }
        for number in range(count)
    ]


def problems(count: int = 5) -> list[dict[str, Any]]:
    """Sums with solutions."""
    return [
        {"question": f"{n} + {n + 1}", "answer": str(2 * n + 1), "work": f"it is {2 * n + 1}"} for n in range(count)
    ]


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """As JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def choice_task(**fields: Any) -> Task:
    """A task over `choices`, in `exam.jsonl`."""
    return Task(
        **{
            "name": "exam",
            "kind": "choice",
            "language": "en",
            "files": "exam.jsonl",
            "options": "options",
            "answer": "answer",
            "subject": "topic",
            "cloze": "Q: {{ question }}\nA:",
            "letters": "Q: {{ question }}\n{{ listed }}\nA:",
            **fields,
        }
    )


def writing_task(**fields: Any) -> Task:
    """A task over `problems`, in `sums.jsonl`."""
    return Task(
        **{
            "name": "sums",
            "kind": "generate",
            "language": "en",
            "files": "sums.jsonl",
            "answer": "answer",
            "solution": "work",
            "prompt": "Q: {{ question }}\nA:",
            "take": ["number"],
            "equal": "number",
            "max_tokens": 8,
            **fields,
        }
    )
