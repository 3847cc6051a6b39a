"""Writes `swarm.csv`: a synthetic table, as if 24 small runs had been measured. The law behind it is below.

python examples/solve/build_table.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

DOMAINS = ("web-zh", "book-zh", "web-en", "code-en")
LAWS = {  # floor, and one exponent for every domain: bits per byte = floor + exp(exponents . shares)
    "zh": (0.95, (-1.6, -1.9, 0.10, 0.15)),
    "en": (0.80, (-0.9, -1.0, -1.7, -1.2)),
    "code": (0.55, (-0.7, -0.8, -0.9, -2.2)),
}
NOISE = 0.004
ROWS = 24


def main() -> None:
    chance = np.random.default_rng(20)
    mixtures = chance.dirichlet((2.0, 0.8, 2.0, 1.0), ROWS).round(3)
    mixtures[:, -1] = 1 - mixtures[:, :-1].sum(axis=1)
    with Path(__file__).with_name("swarm.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", *(f"share.{name}" for name in DOMAINS), *(f"loss.{name}" for name in LAWS)])
        for number, mixture in enumerate(mixtures, start=1):
            losses = [
                floor + np.exp(mixture @ exponents) + chance.normal(0, NOISE) for floor, exponents in LAWS.values()
            ]
            writer.writerow([f"run-{number:02}", *(f"{x:.3f}" for x in mixture), *(f"{x:.4f}" for x in losses)])


if __name__ == "__main__":
    main()
