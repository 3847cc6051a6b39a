"""Studies whose trials were never run: their evaluations are written down."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sapwood.evaluation.result import ADAPTED, BASE, DocumentScore, DomainScore, Evaluation
from sapwood.studies.directory import StudyDirectory, TrialResult
from sapwood.studies.search import all_arms
from sapwood.studies.study import load_study
from sapwood.studies.trials import Trial

DOCUMENTS, BYTES = 40, 200
BASE_BITS = {"web-zh": 2.0, "book-zh": 2.4, "web-en": 1.0, "news-en": 1.1}


def evaluate(bits: dict[str, float], label: str, spread: float = 0.1) -> Evaluation:
    """An evaluation with these bits per byte, the same documents each time, each off by its own amount."""
    off = np.random.default_rng(0).normal(0, spread, DOCUMENTS)
    off -= off.mean()
    domains = {
        name: DomainScore(
            tuple(
                DocumentScore(f"{name}-{number}", BYTES, 50, float((level + off[number]) * BYTES * math.log(2)))
                for number in range(DOCUMENTS)
            )
        )
        for name, level in bits.items()
    }
    return Evaluation(label=label, model=label, tokens=1024, settings={}, domains=domains)


def write_trials(file: Path, runs: Path, levels: Callable[[Trial], dict[str, float] | None]) -> list[Trial]:
    """Writes what every trial of a study came to, in bits per byte by source; None where it was not run."""
    study = load_study(file)
    directory = StudyDirectory(runs / study.name)
    trials = [trial for arm in all_arms(study, directory) if not arm.waits for trial in arm.trials()]
    for trial in trials:
        bits = levels(trial)
        if bits is None:
            continue
        run = directory.trial(trial.name)
        evaluate(BASE_BITS, BASE).write(run.evaluation)
        evaluate({**BASE_BITS, **bits}, ADAPTED).write(run.evaluation)
        directory.record(trial.name, TrialResult(trial.fingerprint, 10.0, 1024, ""))
    return trials


def noise(seed: int, *key: object) -> float:
    """A number around 0, the same for the same seed and key."""
    return float(np.random.default_rng([seed, *(sum(map(ord, str(part))) for part in key)]).normal())
