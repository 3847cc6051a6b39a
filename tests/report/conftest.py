"""Run directories as a demonstration and a run with topics leave them.

The first has two stages, five sources, 120 steps and two models measured; the second 20 rounds, two sources divided
into eleven topics each, a gate that ends its first stage, and sequences of two lengths.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation, Sample
from sapwood.files import write_atomic, write_json, write_lines
from sapwood.mixture.domains import Sizes
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.measured import Measured, improvement
from sapwood.mixture.plan import Plan, make_plan
from sapwood.mixture.rounds import next_round
from sapwood.mixture.weights import whole
from sapwood.recipe import Recipe, dump_recipe, load_recipe
from sapwood.recipe.suite import Suite, load_suite
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest
from sapwood.suites.item_result import ItemResult, TaskResult

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

LENGTH, BATCH = 512, 16
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
        plan = make_plan(recipe, Sizes(AVAILABLE, {}))
        generator = np.random.default_rng(seed)
        position = plan.sequences if steps is None else steps * BATCH
        write_atomic(run / "recipe.yaml", dump_recipe(recipe))
        write_json(run / "plan.json", plan.to_json())
        writers: dict[str, Callable[[], None]] = {
            "corpus": lambda: _write_corpus(recipe, run),
            "tokens": lambda: _write_tokens(recipe, run),
            "ledger": lambda: _write_ledger(recipe, plan, run, position, moving=moving),
            "metrics": lambda: _write_metrics(plan, run, position, generator),
            "base": lambda: _write_evaluation(recipe, run, "base", 0, 0.0, seed),
            "between": lambda: _write_evaluation(
                recipe, run, f"step-{96:08}", 96 * BATCH * LENGTH, 0.85, seed, samples=False
            ),
            "model": lambda: _write_evaluation(recipe, run, "model", position * LENGTH, 1.0, seed),
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
    while ledger.decided < position:
        entry = next_round(recipe, plan, ledger, {})
        assert entry is not None
        if moving and entry.stage == "adaptation":
            entry = _moved(plan, entry, len(ledger.rounds))
        ledger.append(entry)
    if position == plan.sequences:
        ledger.finish(position)


def _moved(plan: Plan, entry: Round, index: int) -> Round:
    """A fourth of the stage, with weight moved from one source to another."""
    weights = dict(entry.mixture.weights)
    for name, amount in (("manual-zh", Fraction(index, 20)), ("manual-en", -Fraction(index, 20))):
        weights[name] += amount
    reasons = entry.reasons if not index else (f"The perplexity of 'manual-zh' fell by {index}.2%: its weight rises.",)
    sequences = min(384, entry.sequences)
    stop = entry.start + sequences
    return replace(
        entry,
        sequences=sequences,
        mixture=replace(entry.mixture, weights=weights),
        reasons=reasons,
        static=whole(plan.stages[0].mixture.weights, stop),
    )


def _write_metrics(plan: Plan, run: Path, position: int, generator: np.random.Generator) -> None:
    lines = []
    seconds = 0.0
    for step in range(1, position // BATCH + 1):
        reached = step * BATCH
        seconds += float(generator.uniform(4.6, 5.4))
        annealing = reached > plan.stages[0].stop
        lines.append(
            {
                "step": step,
                "position": reached,
                "tokens": reached * LENGTH,
                "stage": plan.stages[annealing].name,
                "loss": 2.1 + 1.6 * math.exp(-step / 18) - 0.35 * annealing + float(generator.normal(0, 0.06)),
                "learning_rate": 5e-4 * min(1.0, step / 12) * (1 - 0.9 * max(0, step - 96) / 24),
                "losses": {},
                "skipped": False,
                "utilisation": None,
                "data_wait": 0.0,
                "gradient_norm": 0.6 + 2.5 * math.exp(-step / 9) + float(generator.gamma(2, 0.08)),
                "tokens_per_second": BATCH * LENGTH / 5.0,
                "seconds": seconds,
                "memory_bytes": 3_328_599_654,
                "digest": f"{step:016x}",
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


SUITE = """
name: exam
about: Questions that a school might ask.
tasks:
  ceval: {shots: 5, metric: letters}
  gsm8k: {shots: 8}
  mmlu: {shots: 5, metric: letters}
  arc-easy: {shots: 0, metric: letters}
  humaneval: {shots: 0, metric: bits}
  sciq: {shots: 0, metric: letters}
  icl-words: {}
gain: [ceval, gsm8k]
retention: [mmlu, arc-easy, humaneval, icl-words]
margin: 0.03
"""
EXAM = {  # items, options, and what share of them the base model and the adapted model know
    "ceval": (300, 4, 0.10, 0.45),
    "gsm8k": (200, 0, 0.12, 0.14),
    "mmlu": (400, 4, 0.50, 0.28),
    "arc-easy": (900, 4, 0.60, 0.61),
    "humaneval": (120, 0, 0.60, 0.59),
    "sciq": (80, 4, 0.0, 0.0),
    "icl-words": (160, 2, 0.70, 0.68),
}


@pytest.fixture
def benchmarked(recipe: Recipe, make_run: MakeRun, tmp_path: Path) -> tuple[Recipe, Path]:
    """A run whose base model, a checkpoint and adapted model answered a suite, and its recipe."""
    file = tmp_path / "exam.yaml"
    file.write_text(SUITE, encoding="utf-8")
    evaluation = recipe.evaluation.model_copy(update={"suites": [str(file)]})
    recipe, run = recipe.model_copy(update={"evaluation": evaluation}), make_run(recipe)
    for label, progress in (("base", 0.0), (f"step-{96:08}", 0.7), ("model", 1.0)):
        write_exam(load_suite(str(file)), run, label, progress)
    return recipe, run


def write_exam(suite: Suite, run: Path, label: str, progress: float) -> None:
    """What a model made of the tasks; it knows some items, and guesses at others."""
    for name, (count, options, before, after) in EXAM.items():
        task, same = suite.tasks[name], np.random.default_rng(len(name))
        knows, fresh = before + progress * (after - before), np.random.default_rng([len(name), int(100 * progress)])
        items = []
        for number, hardness in enumerate(same.uniform(size=count)):
            right = bool(hardness < knows or (options and fresh.uniform() < 1 / options))
            bits = 80 * (1.4 - knows + 0.3 * float(hardness)) if task.reported == "bits" else None
            items.append(
                ItemResult(
                    id=f"{name}-{number}",
                    subject=("物理", "law")[number % 2] if name in ("ceval", "mmlu") else None,
                    prompt=f"{name}-{number}",
                    gold="A",
                    scores={} if bits else {task.reported: float(right)},
                    bits=bits,
                    bytes=80 if bits else None,
                    options=tuple("ABCD"[:options]),
                )
            )
        chance = 1 / options if options else 0.0
        result = TaskResult(name, task.reported, chance, tuple(items))
        result.write(RunDirectory(run).suite(suite.name, label) / name)


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


DIVIDED = """
name: divided
model: HuggingFaceTB/SmolLM2-135M
sequence_length: 64
sources:
  web-zh: {files: web-zh.jsonl, language: zh, topics: syne-zh}
  book-zh: {files: book-zh.jsonl, language: zh}
  web-en: {files: web-en.jsonl, language: en, topics: syne-en}
  code-en: {files: code-en.jsonl, language: en, max_epochs: 3}
  news-en: {files: news-en.jsonl, language: en}
groups:
  zh: {web-zh: 7, book-zh: 3}
  en: {web-en: 6, code-en: 4}
stages:
  - name: adaptation
    tokens: 480K
    mixture: {zh: 5, en: 5}
    controller: {kind: perplexity-change, over: topics, every: 24K, strength: 0.5, noise: 0}
    replay: {groups: [en], least: 20%, most: 60%, step: 2%}
    gate: {retention: 0.05}
    order: {zh: {by: perplexity, bins: 10, tails: {head: 1%, tail: 2%}}}
  - name: annealing
    tokens: 96K
    mixture: {zh: 4, en: 6}
    sequence_length: 128
    controller: {every: 20K}
    order: {en: {by: bits_per_byte, ascending: false, first: 30%}}
corpus: {perplexity: {sources: [zh, en]}}
training: {batch_tokens: 2048, learning_rate: {peak: 0.0005}}
evaluation:
  gain: {domains: [zh]}
  retention: {domains: [en, news-en], margin: 0.02}
"""
TOPICS = {
    "web-zh": [
        *("数学与物理", "计算机与工程", "生物与化学", "历史与地理", "法律与政治", "哲学与宗教"),
        *("经济与商业", "教育与社会", "文学与艺术", "医学与健康", "其他"),
    ],
    "web-en": [
        "Mathematics and Physics",
        "Computer Science and Engineering",
        "Biology and Chemistry",
        "History and Geography",
        "Law and Policy",
        "Philosophy and Logic",
        "Economics and Business",
        "Psychology and Sociology",
        "Security and International Relations",
        "Medicine and Health",
        "Others",
    ],
}


def topic_tokens() -> dict[str, dict[str, int]]:
    """Tokens to train on by topic, the first few of which are gone through more than once."""
    return {
        source: {topic: 2_001 + 2_500 * place + 17 * len(topic) for place, topic in enumerate(topics)}
        for source, topics in TOPICS.items()
    }


@pytest.fixture
def divided(tmp_path: Path) -> tuple[Recipe, Path]:
    """A run of 20 rounds: its recipe and its directory."""
    path = tmp_path / "divided.yaml"
    path.write_text(DIVIDED, encoding="utf-8")
    recipe, run = load_recipe(path), tmp_path / "runs" / "divided"
    write_divided(recipe, run)
    return recipe, run


def write_divided(recipe: Recipe, run: Path) -> None:
    """Writes the run of `DIVIDED`, with losses that a model might have."""
    topics = topic_tokens()
    sizes = {"web-zh": 0, "book-zh": 60_003, "web-en": 0, "code-en": 20_011, "news-en": 0}
    for source, parts in topics.items():
        sizes[source] = sum(parts.values())
        write_json(run / "domains" / source / "topics.json", parts)
        Manifest(step="topics of the documents to train on", inputs={}, settings={}).write(run / "domains" / source)
    for number, (source, tokens) in enumerate(sizes.items()):
        counts = {"train_tokens": tokens, "holdout_tokens": 9_000 + number, "dropped_tokens": 310 * (number % 2)}
        counts |= {"tokens": sum(counts.values()), "dropped_documents": 3 * (number % 2)}
        reasons = {"copy of a held-out document": 2, "no tokens": 1} if number % 2 else {}
        Manifest(step="tokens", inputs={}, settings={}, counts=counts, reasons=reasons).write(run / "tokens" / source)
    plan = make_plan(recipe, Sizes(sizes, topics))
    assert not plan.refusals
    write_atomic(run / "recipe.yaml", dump_recipe(recipe))
    write_json(run / "plan.json", plan.to_json())
    ledger = Ledger(run / "ledger.jsonl")
    ledger.begin({"model": "fingerprint-base"})
    generator, before = np.random.default_rng(0), None
    while True:
        before = _losses(recipe, before, len(ledger.rounds), generator)
        entry = next_round(recipe, plan, ledger, before)
        if entry is None:
            break
        ledger.append(entry)
    ledger.finish(ledger.decided)
    steps = []
    for entry in ledger.rounds:
        batch = plan.stage(entry.stage).batch_sequences
        for start in range(entry.start, entry.stop, batch):
            position = min(start + batch, entry.stop)
            number = len(steps) + 1
            steps.append(
                {
                    "step": number,
                    "position": position,
                    "tokens": ledger.tokens_until(position),
                    "stage": entry.stage,
                    "loss": 2.0 + 1.5 * math.exp(-number / 60),
                    "learning_rate": 5e-4,
                    "losses": {},
                    "skipped": False,
                    "utilisation": None,
                    "data_wait": 0.0,
                    "gradient_norm": 0.7,
                    "tokens_per_second": 1000.0,
                    "seconds": 2.0 * number,
                    "memory_bytes": 3_328_599_654,
                    "digest": f"{number:016x}",
                }
            )
    write_lines(run / "metrics.jsonl", steps)


def _losses(
    recipe: Recipe, before: dict[str, Measured] | None, number: int, generator: np.random.Generator
) -> dict[str, Measured]:
    """What is measured before a round: Chinese gets better, English a little worse, each topic in its own way."""
    names = [f"{source}/{topic}" for source, topics in TOPICS.items() for topic in topics]
    found = {}
    for place, name in enumerate([*recipe.groups, *recipe.sources, *names]):
        chinese = "zh" in name.split("/")[0]
        bottom = (-0.5 - 0.02 * (place % 11)) if chinese else 0.075 + 0.004 * (place % 11)
        level = (2.4 if chinese else 0.95) + bottom * (1 - math.exp(-number / 15)) + float(generator.normal(0, 0.006))
        last = before[name].bits_per_byte if before else None
        base = (
            None
            if before is None
            else before[name].bits_per_byte + (before[name].since_base.value if before[name].since_base else 0.0)
        )
        found[name] = Measured(
            bits_per_byte=level,
            standard_error=0.05,
            nats_per_token=level * 1.6,
            since_last=None if last is None else improvement(last - level, 0.006),
            since_base=None if base is None else improvement(base - level, 0.008),
        )
    return found
