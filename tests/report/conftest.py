"""A run directory as a demonstration leaves it: two stages, five sources, 120 steps, two models measured."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation, Sample
from sapwood.files import write_atomic, write_json, write_lines
from sapwood.manifest import Manifest
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.plan import Plan, make_plan
from sapwood.mixture.rounds import next_round
from sapwood.recipe import Recipe, dump_recipe, load_recipe

RECIPE = """
name: demo
model: HuggingFaceTB/SmolLM2-135M
sequence_length: 512
sources:
  manual-zh: {files: data/manual-zh.jsonl.zst, language: zh, kind: manual}
  help-zh: {files: data/help-zh.jsonl.zst, language: zh, kind: manual}
  manual-en: {files: data/manual-en.jsonl.zst, language: en, kind: manual}
  arithmetic: {programs: {basic_arithmetic: 4000}, kind: synthetic}
  book-en: {files: data/book-en.jsonl.zst, language: en, kind: book}
groups:
  zh: {manual-zh: 3, help-zh: 2}
  en: {manual-en: 1}
  synthetic: {arithmetic: 1}
stages:
  - {name: adaptation, tokens: 786432, mixture: {zh: 7, en: 3}}
  - {name: annealing, tokens: 196608, mixture: {zh: 5, en: 3, synthetic: 2}}
training:
  batch_tokens: 8192
  learning_rate: {peak: 0.0005, warmup: 12 steps, then: stable-decay, decay: 20%, end: 0.00005}
evaluation:
  gain: {domains: [zh]}
  retention: {domains: [en, book-en], margin: 0.02}
"""

AVAILABLE = {"manual-zh": 412_803, "help-zh": 96_770, "manual-en": 655_360, "arithmetic": 120_004, "book-en": 0}
LEVELS = {  # bits per byte before and after, and how far documents are from one another
    "manual-zh": (2.31, 1.74, 0.20),
    "help-zh": (2.52, 1.69, 0.25),
    "manual-en": (0.98, 0.97, 0.12),
    "arithmetic": (1.40, 0.31, 0.05),
    "book-en": (1.05, 1.062, 0.09),
}
SAMPLES = (
    (
        "manual-zh",
        "Debian 的软件包管理器 apt 可以",
        "的的的的的的的的的\n\nThe following is a list of the most common types of the",
        "安装、升级和删除软件包。运行 apt update 之后，软件包列表会被更新。\n升级整个系统，请运行 apt full-upgrade。",
    ),
    (
        "manual-en",
        "To install a package from the command line,",
        " you must first install the package manager. The package manager is a program that",
        " run apt install followed by the name of the package. The package is fetched from",
    ),
    (
        "",
        "中文维基百科是",
        " a great place to start. The first thing you should do is",
        "一个自由的百科全书，任何人都可以编辑。",
    ),
)

MakeRun = Callable[..., Path]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return load_recipe(path)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run of a recipe: all parts of it, or those that are named."""

    def make(recipe: Recipe, *parts: str, steps: int | None = None, moving: bool = False, seed: int = 0) -> Path:
        run = tmp_path / "runs" / recipe.name
        shutil.rmtree(run, ignore_errors=True)
        plan = make_plan(recipe, AVAILABLE)
        generator = np.random.default_rng(seed)
        position = plan.sequences if steps is None else steps * plan.batch_sequences
        write_atomic(run / "recipe.yaml", dump_recipe(recipe))
        write_json(run / "plan.json", plan.to_json())
        writers: dict[str, Callable[[], None]] = {
            "corpus": lambda: _write_corpus(recipe, run),
            "tokens": lambda: _write_tokens(recipe, run),
            "ledger": lambda: _write_ledger(recipe, plan, run, position, moving=moving),
            "metrics": lambda: _write_metrics(plan, run, position, generator),
            "base": lambda: _write_evaluation(recipe, run, "base", 0, 0.0, seed),
            "between": lambda: _write_evaluation(
                recipe, run, f"step-{96:08}", 96 * plan.batch_tokens, 0.85, seed, samples=False
            ),
            "model": lambda: _write_evaluation(recipe, run, "model", position * plan.sequence_length, 1.0, seed),
            "environment": lambda: _write_environment(run),
        }
        for part in parts or writers:
            writers[part]()
        return run

    return make


def _write_corpus(recipe: Recipe, run: Path) -> None:
    for number, name in enumerate(recipe.sources):
        read = 310 + 97 * number
        reasons = {"text is not a string": 2, "broken JSON": 1} if name == "help-zh" else {}
        quarantined = sum(reasons.values())
        written = read - quarantined
        held_out = written if not AVAILABLE[name] else written // 12
        directory = run / "corpus" / name
        size = 4 * AVAILABLE[name] + 90_000
        counts = {"documents_read": read, "documents": written, "quarantined": quarantined, "bytes": size}
        Manifest(step="documents", inputs={}, settings={}, counts=counts, reasons=reasons).write(
            directory / "documents"
        )
        counts = {"documents": written, "dropped": 0, "train": written - held_out, "holdout": held_out}
        counts |= {"bytes": size, "dropped_bytes": 0, "train_bytes": size, "holdout_bytes": 0}
        Manifest(step="selection", inputs={}, settings={}, counts=counts).write(directory / "selection")
        if reasons:
            row = {"source": name, "file": "data/help-zh.jsonl.zst", "row": 17, "reason": "broken JSON"}
            write_lines(directory / "documents" / "quarantine.jsonl", [{**row, "excerpt": '{"text": "打开“工具'}])


def _write_tokens(recipe: Recipe, run: Path) -> None:
    for number, name in enumerate(recipe.sources):
        counts = {
            "train_documents": 280 if AVAILABLE[name] else 0,
            "train_tokens": AVAILABLE[name],
            "holdout_documents": 30,
            "holdout_tokens": 31_337 + number,
            "dropped_documents": 2 if name == "manual-en" else 0,
            "dropped_tokens": 1_204 if name == "manual-en" else 0,
        }
        for kind in ("documents", "tokens"):
            counts[kind] = sum(counts[f"{part}_{kind}"] for part in ("train", "holdout", "dropped"))
        reasons = {"copy of a held-out document": 2} if name == "manual-en" else {}
        Manifest(step="tokens", inputs={}, settings={}, counts=counts, reasons=reasons).write(run / "tokens" / name)


def _write_ledger(recipe: Recipe, plan: Plan, run: Path, position: int, *, moving: bool) -> None:
    ledger = Ledger(run / "ledger.jsonl")
    ledger.begin({"model": "fingerprint-base"})
    reached = 0
    while reached < position:
        entry = next_round(recipe, plan, ledger, reached, {})
        if moving and entry.stage == "adaptation":
            entry = _moved(entry, len(ledger.rounds))
        ledger.append(entry)
        reached = entry.stop
    if position == plan.sequences:
        ledger.finish(position)


def _moved(entry: Round, index: int) -> Round:
    """A fourth of the stage, with weight moved from one source to another."""
    weights = dict(entry.weights)
    for name, amount in (("manual-zh", Fraction(index, 20)), ("manual-en", -Fraction(index, 20))):
        weights[name] += amount
    reasons = entry.reasons if not index else (f"The perplexity of 'manual-zh' fell by {index}.2%: its weight rises.",)
    return Round(
        index=entry.index,
        stage=entry.stage,
        start=entry.start,
        sequences=min(384, entry.sequences),
        weights=weights,
        first=entry.first,
        reasons=reasons,
    )


def _write_metrics(plan: Plan, run: Path, position: int, generator: np.random.Generator) -> None:
    lines = []
    seconds = 0.0
    for step in range(1, position // plan.batch_sequences + 1):
        reached = step * plan.batch_sequences
        seconds += float(generator.uniform(4.6, 5.4))
        annealing = reached > plan.stages[0].stop
        lines.append(
            {
                "step": step,
                "position": reached,
                "tokens": reached * plan.sequence_length,
                "stage": plan.stages[annealing].name,
                "loss": 2.1 + 1.6 * math.exp(-step / 18) - 0.35 * annealing + float(generator.normal(0, 0.06)),
                "learning_rate": 5e-4 * min(1.0, step / 12) * (1 - 0.9 * max(0, step - 96) / 24),
                "gradient_norm": 0.6 + 2.5 * math.exp(-step / 9) + float(generator.gamma(2, 0.08)),
                "tokens_per_second": plan.batch_tokens / 5.0,
                "seconds": seconds,
                "memory_bytes": 3_328_599_654,
            }
        )
    write_lines(run / "metrics.jsonl", lines)


def _write_evaluation(
    recipe: Recipe, run: Path, label: str, tokens: int, progress: float, seed: int, *, samples: bool = True
) -> None:
    generator = np.random.default_rng(seed + 1)  # the same documents in every evaluation
    noise = np.random.default_rng([seed, tokens])
    domains = {}
    for name in recipe.sources:
        before, after, spread = LEVELS[name]
        documents = []
        for number in range(16):
            size = int(generator.integers(600, 4000))
            level = before + float(generator.normal(0, spread)) + progress * (after - before)
            level += float(noise.normal(0, 0.03)) if progress else 0.0
            documents.append(DocumentScore(f"{name}-{number}", size, size // 3, level * size * math.log(2)))
        domains[name] = DomainScore(tuple(documents))
    Evaluation(
        label=label,
        model=f"fingerprint-{label}",
        tokens=tokens,
        settings={"bytes": recipe.evaluation.bytes, "sequence_length": recipe.sequence_length},
        domains=domains,
        samples=tuple(
            Sample(domain, prompt, before if label == "base" else after) for domain, prompt, before, after in SAMPLES
        )
        if samples
        else (),
        seconds=42.0,
    ).write(run / "evaluation")


def _write_environment(run: Path) -> None:
    versions: dict[str, Any] = {
        "sapwood": "0.1.0",
        "python": "3.11.9",
        "torch": "2.13.0+cpu",
        "transformers": "5.23.0",
        "platform": "Linux-6.1.0-x86_64-with-glibc2.36",
        "device": "cpu",
        "threads": 8,
    }
    write_json(run / "environment.json", versions)
