"""What the tests of faults share: a run of some seconds, and what a verb said of it."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from sapwood.evaluation.result import read_evaluation

WORDS = "the tree adds a ring of living wood every year and keeps the old heart that no longer grows but holds".split()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a verb ended."""

    status: int
    out: str
    said: str
    """On standard error."""

    @property
    def is_refusal(self) -> bool:
        """Whether it ended with a message of our own, and not with a traceback."""
        return self.status == 1 and "Traceback" not in self.said and bool(self.said.strip())


def put_recipe(place: Path, backbone: Path) -> Path:
    """Writes a recipe of two sources and two stages, with their documents, into a directory."""
    rng = random.Random(1)
    for name, count in (("web", 40), ("news", 30)):
        texts = (" ".join(rng.choices(WORDS, k=rng.randint(20, 80))) for _ in range(count))
        lines = [json.dumps({"text": f"{name} {number} {text}"}) for number, text in enumerate(texts)]
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    recipe = {
        "name": "tiny",
        "model": str(backbone),
        "sequence_length": 64,
        "sources": {name: {"files": str(place / f"{name}.jsonl")} for name in ("web", "news")},
        "groups": {"new": {"web": 1}, "old": {"news": 1}},
        "stages": [
            {
                "name": "adaptation",
                "tokens": 2048,
                "mixture": {"new": 3, "old": 1},
                "controller": {"kind": "perplexity-change", "over": "groups", "every": 1024},
            },
            {"name": "enhancement", "tokens": 1024, "mixture": {"new": 1, "old": 1}},
        ],
        "corpus": {"language": None, "duplicates": {"near": False}},
        "holdout": {"share": 0.2},
        "training": {
            "batch_tokens": 256,
            "precision": "fp32",
            "learning_rate": 1e-3,
            "checkpoints": {"every": "3 steps", "keep": 2},
        },
        "evaluation": {
            "gain": {"domains": ["new"]},
            "retention": {"domains": ["old"], "margin": 0.05},
            "samples": {"tokens": 4},
        },
    }
    path = place / "recipe.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
    return path


def begin_again(run: Path) -> None:
    """Makes of a finished run one that was killed after its last checkpoint but one."""
    shutil.rmtree(run / "model")
    shutil.rmtree(max((run / "checkpoints").iterdir()))
    (run / "evaluation" / "model.json").unlink()
    lines = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    assert b'"finish"' in lines[-1]
    (run / "ledger.jsonl").write_bytes(b"".join(lines[:-1]))


def results_of(run: Path) -> tuple[bytes, object]:
    """The weights that a run ended in, and what was measured of them."""
    measured = read_evaluation(run / "evaluation" / "model.json")
    return (run / "model" / "model.safetensors").read_bytes(), measured.domains
