"""How often the intervals of sapwood.evaluation hold the truth, and how often its gate lets a loss pass.

    python benchmarks/intervals.py

Simulates pairs of models whose true change is known, and applies to them what is shipped, and beside it what others do.
Prints Markdown tables, in percent, and a line of JSON at the end. Under three minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from sapwood.evaluation.chance import better_than_guessing
from sapwood.evaluation.forgetting import forgetting
from sapwood.evaluation.gate import decide
from sapwood.evaluation.items import TaskScores
from sapwood.evaluation.level import level, wilson
from sapwood.evaluation.paired import Pairs, change, mcnemar
from sapwood.evaluation.power import Design, spread
from sapwood.evaluation.published import unpaired_change
from sapwood.evaluation.resampling import bootstrap, sign_flip
from sapwood.evaluation.seeds import across_seeds
from sapwood.evaluation.statistics import Floats, cluster_sums, ratio

Make = Callable[[], tuple[Pairs, float]]
"""A pair of models, and the true change."""
Interval = tuple[float, float]
Row = dict[str, str | float]
chance = np.random.default_rng(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10_000, help="a tenth of them for what resamples")
    repetitions = parser.parse_args().repetitions
    started, results = time.monotonic(), {}
    tables = (changes, resampled, levels, gate, tests, seeds, flips, powers)
    for table in tables:
        rows = results[table.__name__] = table(repetitions)
        print(f"\n{table.__doc__}\n\n| " + " | ".join(rows[0]) + " |")
        print("|:--|" + "--:|" * (len(rows[0]) - 1))
        for row in rows:
            cells = [cell if isinstance(cell, str) else f"{100 * cell:.1f}" for cell in row.values()]
            print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\n{repetitions} repetitions, {time.monotonic() - started:.0f} seconds\n{json.dumps(results)}")


def labels_of(sizes: Floats | list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def unequal(count: int) -> np.ndarray:
    """Cluster sizes from 1 to about 40, 5 on average."""
    return np.maximum(1, np.round(np.exp(np.random.default_rng(5).normal(1.1, 1.0, count)))).astype(int)


def paired(before: Floats, after: Floats, labels: np.ndarray, weights: Floats | None = None) -> Pairs:
    names = NAMES[: len(labels)]
    return Pairs(names, before, after, labels, np.ones(len(labels)) if weights is None else weights)


NAMES = tuple(map(str, range(20_000)))


def noise(labels: np.ndarray, tied: float, skewed: bool = False) -> Floats:
    """Of variance 1, `tied` of which is common to a cluster."""
    draw = (lambda size: chance.exponential(size=size) - 1) if skewed else (lambda size: chance.normal(size=size))
    if tied == 0:
        return draw(len(labels))
    return math.sqrt(tied) * draw(labels[-1] + 1)[labels] + math.sqrt(1 - tied) * draw(len(labels))


def real(labels: np.ndarray, tied: float, true: float = 0.0, skewed: bool = False) -> Make:
    return lambda: (paired(np.zeros(len(labels)), true + noise(labels, tied, skewed), labels), true)


def documents(count: int) -> Make:
    """Bits per byte of documents of very different sizes, weighted by their bytes."""
    sizes = np.exp(np.random.default_rng(3).normal(0, 1, count))
    labels = np.arange(count)
    return lambda: (paired(np.zeros(count), noise(labels, 0), labels, sizes), 0.0)


def answers(labels: np.ndarray, before: float, true: float, tied: float = 0.0, shared: float = 0.5) -> Make:
    """Right or wrong by a latent normal variable: exact accuracies; `shared` of an item's difficulty is both models'."""
    limits = norm.ppf([before, before + true])

    def make() -> tuple[Pairs, float]:
        common = math.sqrt(shared) * noise(labels, tied)
        old, new = (common + math.sqrt(1 - shared) * noise(labels, tied) < limit for limit in limits)
        return paired(old.astype(float), new.astype(float), labels), true

    return make


EACH, FIVES = np.arange, lambda count: labels_of([5] * count)
CASES: dict[str, Make] = {
    "real, 40 × 5, correlation 0.3": real(FIVES(40), 0.3, 0.1),
    "real, 40 × 5, correlation 0.5": real(FIVES(40), 0.5, 0.1),
    "real, 20 × 5, 0.4": real(FIVES(20), 0.4),
    "real, 10 × 5, 0.4": real(FIVES(10), 0.4),
    "real, 5 × 5, 0.4": real(FIVES(5), 0.4),
    "real and skewed, 40 × 5, 0.4": real(FIVES(40), 0.4, skewed=True),
    "real, 40 clusters of 1 to 33, 0.4": real(labels_of(unequal(40)), 0.4),
    "real, 16 documents of different sizes": documents(16),
    "real, 40 documents of different sizes": documents(40),
    "answers, 164, 50% → 55%": answers(EACH(164), 0.5, 0.05),
    "answers, 164, 97% → 95%": answers(EACH(164), 0.97, -0.02),
    "answers, 1,000, 65% → 64%": answers(EACH(1000), 0.65, -0.01),
    "answers, 40 × 5, 50% → 55%, 0.3": answers(FIVES(40), 0.5, 0.05, 0.6),
    "answers, 40 × 5, 50% → 55%, 0.5": answers(FIVES(40), 0.5, 0.05, 0.85),
    "answers, 40 × 5, 90% → 88%, 0.2": answers(FIVES(40), 0.9, -0.02, 0.6),
    "answers, 10 × 5, 50% → 55%, 0.3": answers(FIVES(10), 0.5, 0.05, 0.6),
    "answers, 40 clusters of 1 to 33, 70% → 68%, 0.3": answers(labels_of(unequal(40)), 0.7, -0.02, 0.6),
}


def covering(case: str, make: Make, methods: dict[str, Callable[[Pairs], Interval]], repetitions: int) -> Row:
    held: Counter[str] = Counter(dict.fromkeys(methods, 0))
    for _ in range(repetitions):
        pairs, true = make()
        for name, method in methods.items():
            low, high = method(pairs)
            held[name] += low <= true <= high
    return {"case": case} | {name: count / repetitions for name, count in held.items()}


def parts(pairs: Pairs) -> tuple[float, Floats, Floats]:
    """The change, the residual sum of every cluster, and its weight."""
    sums = cluster_sums(pairs.differences * pairs.weights, pairs.clusters)
    sizes = cluster_sums(pairs.weights, pairs.clusters)
    return sums.sum() / sizes.sum(), sums - sums.sum() / sizes.sum() * sizes, sizes


def no_clusters(pairs: Pairs) -> Interval:
    return ratio(pairs.differences * pairs.weights, pairs.weights).interval(0.95)


def normal(pairs: Pairs) -> Interval:
    value, residuals, sizes = parts(pairs)
    half = 1.96 * math.sqrt(np.sum(residuals**2)) / sizes.sum()
    return value - half, value + half


def plain_t(pairs: Pairs) -> Interval:
    value, residuals, sizes = parts(pairs)
    count = len(sizes)
    half = student.ppf(0.975, count - 1) * math.sqrt(count / (count - 1) * np.sum(residuals**2)) / sizes.sum()
    return value - half, value + half


def shipped(pairs: Pairs) -> Interval:
    return change(pairs).interval(0.95)


def changes(repetitions: int) -> list[Row]:
    """Paired changes: how many of the 95% intervals hold the true change."""
    methods = {"no clusters": no_clusters, "normal": normal, "t, C - 1": plain_t, "Sapwood": shipped}
    return [covering(case, make, methods, repetitions) for case, make in CASES.items()]


def percentile(pairs: Pairs, corrected: bool = False) -> Interval:
    """The percentile interval of resampled clusters; `corrected`, BCa."""
    value, residuals, sizes = parts(pairs)
    sums = residuals + value * sizes
    counts = np.random.default_rng(0).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=999)
    found = counts @ sums / (counts @ sizes)
    if not corrected:
        low, high = np.quantile(found, [0.025, 0.975])
        return float(low), float(high)
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    pull = without.mean() - without
    acceleration = np.sum(pull**3) / (6 * np.sum(pull**2) ** 1.5 + 1e-300)
    bias = norm.ppf((np.sum(found < value) + 0.5 * np.sum(found == value)) / len(found))
    shifted = bias + norm.ppf([0.025, 0.975])
    low, high = np.quantile(found, norm.cdf(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high)


def resampled(repetitions: int) -> list[Row]:
    """Bootstraps of clusters, 999 resamples: how many of the 95% intervals hold the true change."""
    methods = {
        "percentile": percentile,
        "BCa": lambda pairs: percentile(pairs, corrected=True),
        "Sapwood's bootstrap": lambda pairs: bootstrap(pairs, resamples=999),
        "Sapwood's t": shipped,
    }
    chosen = [case for case in CASES if "0.3" in case or "skewed" in case or "90%" in case or "40 doc" in case]
    return [covering(case, CASES[case], methods, repetitions // 10) for case in chosen]


def levels(repetitions: int) -> list[Row]:
    """Accuracies: how many of the 95% intervals hold the true accuracy."""

    def scores(pairs: Pairs) -> TaskScores:
        return TaskScores(pairs.items, pairs.before, pairs.clusters, pairs.weights)

    methods = {
        "Wilson, no clusters": lambda pairs: wilson(float(pairs.before.mean()), len(pairs.items), 0.95),
        "t": lambda pairs: level(scores(pairs)).estimate.interval(0.95),
        "Sapwood": lambda pairs: level(scores(pairs)).interval(0.95),
    }
    rows = []
    for case, labels, accuracy, tied in (
        ("100, 97%", EACH(100), 0.97, 0.0),
        ("164, 90%", EACH(164), 0.9, 0.0),
        ("1,000, 50%", EACH(1000), 0.5, 0.0),
        ("40 × 5, 50%", FIVES(40), 0.5, 0.5),
        ("40 × 5, 90%", FIVES(40), 0.9, 0.5),
        ("20 × 5, 25%", FIVES(20), 0.25, 0.5),
        ("40 clusters of 1 to 33, 70%", labels_of(unequal(40)), 0.7, 0.5),
    ):
        make = answers(labels, accuracy, 0.0, tied, shared=1.0)
        rows.append(covering(case, lambda make=make, truth=accuracy: (make()[0], truth), methods, repetitions))
    return rows


def gate(repetitions: int) -> list[Row]:
    """The gate: how often an ability is called kept that lost the whole margin; and one that lost nothing."""
    rows = []
    for case, margin, make in (
        ("answers, 164, 97%, margin 2 points", 0.02, lambda lost: answers(EACH(164), 0.97, -lost, shared=0.9)),
        ("answers, 164, 60%, 5 points", 0.05, lambda lost: answers(EACH(164), 0.6, -lost)),
        ("answers, 2,000, 65%, 2 points", 0.02, lambda lost: answers(EACH(2000), 0.65, -lost, shared=0.8)),
        ("answers, 40 × 5, 60%, 5 points", 0.05, lambda lost: answers(FIVES(40), 0.6, -lost, 0.6, shared=0.8)),
        ("real, 40 × 5, half a deviation", 0.5, lambda lost: real(FIVES(40), 0.4, -lost)),
        ("real, 10 × 5, half a deviation", 0.5, lambda lost: real(FIVES(10), 0.4, -lost)),
    ):
        row: Row = {"case": case}
        for name, lost, method in (
            ("lost it, plain t", margin, plain_t),
            ("lost it, Sapwood", margin, shipped),
            ("lost nothing, Sapwood", 0.0, shipped),
        ):
            made, kept = make(lost), 0
            for _ in range(repetitions):
                kept += decide("retention", method(made()[0]), margin) in ("kept", "improved")
            row[name] = kept / repetitions
        rows.append(row)
    return rows


def tests(repetitions: int) -> list[Row]:
    """Tests at 5% where nothing changed, or the model guesses: how often they say otherwise."""
    count = repetitions // 4

    def rejected(test: Callable[[], float]) -> float:
        return sum(test() < 0.05 for _ in range(count)) / count

    def guess(labels: np.ndarray, tied: bool) -> float:
        right = chance.random(labels[-1] + 1)[labels] if tied else chance.random(len(labels))
        ones = np.ones(len(labels))
        return better_than_guessing(TaskScores(NAMES[: len(labels)], (right < 0.25).astype(float), labels, ones), 0.25)

    apart, together, few = answers(EACH(164), 0.6, 0.0), answers(FIVES(40), 0.6, 0.0, 0.6), real(FIVES(8), 0.4)
    return [
        {"test": "change, t, 164 answers", "rejected": rejected(lambda: change(apart()[0]).p_value)},
        {"test": "McNemar, 164 answers", "rejected": rejected(lambda: mcnemar(apart()[0]))},
        {"test": "change, t, 40 × 5 answers", "rejected": rejected(lambda: change(together()[0]).p_value)},
        {"test": "sign flips, 40 × 5 answers", "rejected": rejected(lambda: sign_flip(together()[0]))},
        {"test": "change, t, 8 × 5 real", "rejected": rejected(lambda: change(few()[0]).p_value)},
        {"test": "sign flips, 8 × 5 real", "rejected": rejected(lambda: sign_flip(few()[0]))},
        {"test": "better than guessing, 200 items", "rejected": rejected(lambda: guess(EACH(200), False))},
        {"test": "better than guessing, 40 × 5, as one", "rejected": rejected(lambda: guess(FIVES(40), True))},
    ]


def seeds(repetitions: int) -> list[Row]:
    """Several seeds on the same 200 items: how many of the 95% intervals hold the true change of the recipe."""
    rows, labels = [], EACH(200)
    for count in (2, 3, 5):
        for between, shared in ((0.0, 1.0), (0.1, 1.0), (0.3, 1.0), (1.0, 1.0), (0.2, 0.0)):
            held: Counter[str] = Counter()
            trials = repetitions // 5
            for trial in range(trials):
                common = shared * chance.normal(size=200)
                table = common + between * chance.normal(size=(count, 1)) + chance.normal(size=(count, 200))
                found = across_seeds([paired(np.zeros(200), row, labels) for row in table])
                half = {
                    "seeds alone": found.value - found.seeds.interval(0.95)[0],
                    "items alone": student.ppf(0.975, 199) * table.mean(axis=0).std(ddof=1) / math.sqrt(200),
                    "Satterthwaite": satterthwaite(table),
                    "Sapwood": found.value - found.interval(0.95)[0],
                }
                for name, width in half.items():
                    held[name] += abs(found.value) <= width
                if trial < trials // 10:
                    low, high = nested(table)
                    held["bootstrap of both"] += low <= 0 <= high
            held["bootstrap of both"] *= 10
            case = f"{count} seeds, between seeds {between}, between items {shared}, rest 1"
            order = ("seeds alone", "items alone", "bootstrap of both", "Satterthwaite", "Sapwood")
            rows.append({"case": case} | {name: held[name] / trials for name in order})
    return rows


def satterthwaite(table: Floats) -> float:
    """The half-width by one t, whose degrees of freedom are those of the summed variances."""
    count, items = table.shape
    by_seed = table.mean(axis=1).var(ddof=1) / count
    by_item = table.mean(axis=0).var(ddof=1) / items
    rest = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + table.mean()
    total = max(by_seed + by_item - np.sum(rest**2) / ((count - 1) * (items - 1)) / table.size, by_seed, by_item)
    freedom = total**2 / (by_seed**2 / (count - 1) + by_item**2 / (items - 1))
    return float(student.ppf(0.975, max(1.0, freedom))) * math.sqrt(total)


def nested(table: Floats) -> Interval:
    """The percentile interval of seeds drawn again, and items drawn again."""
    count, items = table.shape
    draws = [chance.multinomial(n, np.full(n, 1 / n), size=500) / n for n in (count, items)]
    low, high = np.quantile(np.einsum("bs,si,bi->b", draws[0], table, draws[1]), [0.025, 0.975])
    return float(low), float(high)


def flips(repetitions: int) -> list[Row]:
    """Forgetting among 500 items of four options: shares in percent, on average; and how many intervals hold it."""
    rows = []
    for forgot, learned, kept in ((0.05, 0.1, 0.6), (0.05, 0.05, 0.3), (0.0, 0.3, 0.0), (0.02, 0.02, 0.9)):
        sums, covered, trials = np.zeros(3), 0, repetitions // 5
        for _ in range(trials):
            kinds = chance.choice(4, size=500, p=[kept, forgot, learned, 1 - kept - forgot - learned])
            before = (np.isin(kinds, [0, 1]) | (chance.random(500) < 0.25)).astype(float)
            after = (np.isin(kinds, [0, 2]) | (chance.random(500) < 0.25)).astype(float)
            found = forgetting(paired(before, after, EACH(500)), 0.25)
            lost = found.lost.estimate.value
            sums += lost, (lost - (1 - found.known_before) * 0.25 * 0.75) / 0.75, found.forgotten.value
            low, high = found.forgotten.interval(0.95)
            covered += low <= forgot <= high
        names = ("1→0", "less (1 - u) q (1 - q)", "Sapwood")
        rows.append(
            {"case": f"{kept:.0%} kept, {learned:.0%} learned", "forgotten": forgot}
            | {name: float(value) / trials for name, value in zip(names, sums, strict=True)}
            | {"intervals": covered / trials}
        )
    return rows


def powers(repetitions: int) -> list[Row]:
    """A change of the smallest size that is found in 80%, planned beforehand: how often it is found."""
    rows, trials = [], repetitions // 4
    plain, tied = Design(deviation=1.0), Design(deviation=1.0, cluster_size=5, cluster_correlation=0.4)
    for case, effect, make in (
        ("real, 5", plain.smallest_effect(5), lambda true: real(EACH(5), 0.0, true)),
        ("real, 100", plain.smallest_effect(100), lambda true: real(EACH(100), 0.0, true)),
        ("real, 20 × 5, 0.4", tied.smallest_effect(100), lambda true: real(FIVES(20), 0.4, true)),
    ):
        made = make(effect)
        rows.append({"case": case, "found": sum(change(made()[0]).p_value < 0.05 for _ in range(trials)) / trials})
    accuracy, true = 0.45, Design(deviation=spread(0.45, 0.0)).smallest_effect(1319)
    found = 0
    for _ in range(trials):
        before, after = chance.binomial(1319, [accuracy, accuracy + true]) / 1319
        found += unpaired_change(before, after, 1319).p_value < 0.05
    rows.append({"case": "answers, 1,319, not paired, 45%", "found": found / trials})
    return rows


if __name__ == "__main__":
    main()
