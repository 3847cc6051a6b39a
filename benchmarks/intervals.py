"""How often the intervals hold the truth and the tests are wrong, on pairs of models whose difference is known.

    python benchmarks/intervals.py --pairs 10000

In every line pairs of models are drawn twice: once the second has lost exactly the margin, once nothing has changed.
Wanted: intervals that hold the truth in 95%; `kept` of what has lost the margin in 2.5%, and in 5% at most; tests that
find a change where there is none in 5% at most. With 10,000 pairs these shares are known to 0.4 points, those of
the bootstrap, which is slow and tried on every fifth pair, to 1 point. Prints Markdown tables, and a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm
from threadpoolctl import threadpool_limits

from sapwood.evaluation.published import unpaired_change
from sapwood.statistics.chance import better_than_guessing
from sapwood.statistics.change import SCORE, Aim, Change, decide
from sapwood.statistics.estimate import Estimate, Floats, mean
from sapwood.statistics.family import judge_family
from sapwood.statistics.forgetting import forgetting
from sapwood.statistics.items import TaskScores
from sapwood.statistics.level import level
from sapwood.statistics.paired import Pairs, change, mcnemar
from sapwood.statistics.resampling import bootstrap, sign_flip
from sapwood.statistics.seeds import across_seeds

RESAMPLES = 999
CHUNK = 250
Draw = Callable[[np.random.Generator, float], list[Pairs]]
"""Pairs of which the true change is the number given."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs of models of each line and kind")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    lines = []
    with ProcessPoolExecutor(arguments.processes, initializer=threadpool_limits, initargs=(1,)) as pool:
        for name, scenarios in TABLES.items():
            columns = list(dict.fromkeys(column for scenario in scenarios for column in scenario.columns))
            print(f"\n| {name} | {' | '.join(columns)} |\n|:--|{'--:|' * len(columns)}")
            for place, scenario in enumerate(scenarios):
                chunks = [(name, place, chunk) for chunk in range(math.ceil(arguments.pairs / CHUNK))]
                found = np.nanmean(np.concatenate(list(pool.map(run, chunks))), axis=0)
                shares = dict(zip(scenario.columns, found.tolist(), strict=True))
                lines.append({"table": name, "scenario": scenario.name, **shares})
                cells = (f"{shares[column]:.1%}" if column in shares else "" for column in columns)
                print(f"| {scenario.name} | {' | '.join(cells)} |", flush=True)
    print(json.dumps(lines))


def run(chunk: tuple[str, int, int]) -> Floats:
    """What came of `CHUNK` trials, [trials, columns] of 0 and 1, NaN for what was not tried."""
    name, place, number = chunk
    random = np.random.default_rng([list(TABLES).index(name), place, number])
    return np.array([TABLES[name][place].trial(random) for _ in range(CHUNK)], dtype=np.float64)


@dataclass(frozen=True)
class Comparison:
    """Two models and what is said of their change."""

    name: str
    draw: Draw
    margin: float = 0.02
    judge: Callable[[list[Pairs]], Estimate] = lambda runs: change(runs[0])
    accuracy: float | None = None
    """Of both models where nothing has changed."""
    resample: bool = False
    """Whether to try the bootstrap, and flipped signs where that takes resampling."""
    tests: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        found = ["holds the loss", "called kept", "holds no change"]
        found += ["bootstrap holds the loss"] * self.resample + ["level held"] * (self.accuracy is not None)
        return [*found, *(f"{test} finds one" for test in self.tests)]

    def trial(self, random: np.random.Generator) -> list[float]:
        lost, same = self.draw(random, -self.margin), self.draw(random, 0.0)
        interval = self.judge(lost).interval(0.95)
        found: list[float] = [
            holds(interval, -self.margin),
            decide("retention", interval, self.margin) in ("kept", "improved"),
            holds(self.judge(same).interval(0.95), 0.0),
        ]
        if self.resample:
            seed = int(random.integers(2**32))
            tried = seed % 5 == 0
            found.append(holds(bootstrap(lost[0], resamples=RESAMPLES, seed=seed), -self.margin) if tried else math.nan)
        if self.accuracy is not None:
            scores = TaskScores(same[0].items, same[0].after, same[0].clusters, same[0].weights)
            found.append(holds(level(scores).interval(0.95), self.accuracy))
        if "McNemar" in self.tests:
            found.append(mcnemar(same[0]) <= 0.05)
        if "sign flip" in self.tests:
            found.append(sign_flip(same[0], resamples=RESAMPLES, seed=int(random.integers(2**32))) <= 0.05)
        return found


@dataclass(frozen=True)
class Other:
    """Anything else that is right or wrong about a draw."""

    name: str
    columns: list[str]
    trial: Callable[[np.random.Generator], list[bool]]


def holds(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


# The models.


def answers(
    sizes: Sequence[int],
    accuracy: float,
    correlation: float,
    tied: float = 0.0,
    samples: int = 1,
    seeds: int = 1,
    between: float = 0.0,
) -> Draw:
    """Right and wrong answers to items in clusters of these sizes; of an item's several `samples`, the mean.

    An answer is right where a normal number lies below a threshold. The two models' answers to an item have the
    `correlation`; a share `tied` of all but the noise between samples is the same in a cluster. Of several seeds, all
    start from the same first model; of what sets the second apart, a share `between` is the seed's on all items, half
    of the rest the item's in all seeds.
    """
    items, clusters, weights = frame(sizes)

    def part(random: np.random.Generator, variance: float) -> Floats:
        own, common = random.normal(size=len(items)), random.normal(size=len(sizes))[clusters]
        return math.sqrt(variance) * (math.sqrt(tied) * common + math.sqrt(1 - tied) * own)

    def draw(random: np.random.Generator, difference: float) -> list[Pairs]:
        shared = latent(accuracy, accuracy + difference, correlation)
        difficulty = part(random, shared)

        def scores(share: float, off: Floats) -> Floats:
            own = (1 - shared) / 2 if samples > 1 else 0.0
            noise = math.sqrt(own) * random.normal(size=(samples, len(items)))
            return np.mean(difficulty + off + noise < norm.ppf(share), axis=0)

        rest = (1 - shared) / 2 if samples > 1 else 1 - shared
        before = scores(accuracy, part(random, rest))
        if seeds == 1:
            return [Pairs(items, before, scores(accuracy + difference, part(random, rest)), clusters, weights)]
        common = part(random, rest * (1 - between) / 2)
        runs = []
        for _ in range(seeds):
            off = common + part(random, rest * (1 - between) / 2) + math.sqrt(rest * between) * random.normal()
            runs.append(Pairs(items, before, scores(accuracy + difference, off), clusters, weights))
        return runs

    return draw


def bits_per_byte(documents: Sequence[int], spread: float, slope: float, cut: float) -> Draw:
    """Changes in bits per byte of documents with log-normal sizes of median 1, cut off at `cut`; a Pairs for a source.

    Noise between documents of 0.05, by Student's t with 4 degrees of freedom. With a `slope` the change is the worse
    the longer the document, and that of all bytes is not that of the mean document. Above zero is better.
    """
    typical = log_size_of_a_byte(spread, cut)

    def draw(random: np.random.Generator, difference: float) -> list[Pairs]:
        runs = []
        for count in documents:
            items, clusters, _ = frame((1,) * count)
            sizes = np.minimum(np.exp(spread * random.normal(size=count)), cut)
            noise = 0.05 * random.standard_t(4, size=count) / math.sqrt(2)
            changes = difference - slope * (np.log(sizes) - typical) + noise
            runs.append(Pairs(items, np.zeros(count), changes, clusters, sizes))
        return runs

    return draw


@cache
def log_size_of_a_byte(spread: float, cut: float) -> float:
    """The mean over bytes of the logarithm of their document's size: spread², where none is cut."""
    sizes = np.minimum(np.exp(spread * norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)), cut)
    return float(np.average(np.log(sizes), weights=sizes))


@cache
def frame(sizes: tuple[int, ...]) -> tuple[tuple[str, ...], np.ndarray, Floats]:
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    return tuple(map(str, range(len(clusters)))), clusters, np.ones(len(clusters))


@cache
def latent(before: float, after: float, correlation: float) -> float:
    """The correlation of two normal numbers whose signs have this one."""
    if correlation == 0:
        return 0.0
    wanted = before * after + correlation * math.sqrt(before * (1 - before) * after * (1 - after))
    thresholds = norm.ppf([before, after])

    def excess(shared: float) -> float:
        return float(multivariate_normal.cdf(thresholds, cov=[[1, shared], [shared, 1]])) - wanted

    return float(brentq(excess, 0.0, 0.9999))


def unequal(count: int, items: int, spread: float = 1.0) -> tuple[int, ...]:
    """Sizes of clusters at the quantiles of a log-normal distribution."""
    sizes = np.exp(spread * norm.ppf((np.arange(count) + 0.5) / count))
    return tuple(np.maximum(1, np.round(sizes * items / sizes.sum())).astype(int).tolist())


# The lines.


def independent(items: int, accuracy: float, correlation: float) -> Comparison:
    name = f"{items:,} items, accuracy {accuracy:g}, correlation {correlation:g}"
    draw = answers((1,) * items, accuracy, correlation)
    return Comparison(name, draw, accuracy=accuracy, tests=("McNemar",), resample=items == 100 and accuracy > 0.6)


def clustered(name: str, sizes: tuple[int, ...], accuracy: float = 0.65, tied: float = 0.3) -> Comparison:
    name = f"{name}, accuracy {accuracy:g}, tied {tied:g}"
    draw = answers(sizes, accuracy, 0.5, tied)
    return Comparison(name, draw, accuracy=accuracy, tests=("sign flip",), resample=len(sizes) in (20, 40))


def partial(name: str, sizes: tuple[int, ...], accuracy: float, samples: int, tied: float = 0.0) -> Comparison:
    draw = answers(sizes, accuracy, 0.3, tied, samples)
    return Comparison(
        f"{name}, accuracy {accuracy:g}", draw, accuracy=accuracy, tests=("sign flip",), resample=len(sizes) <= 100
    )


def bits(*documents: int, spread: float = 1.0, slope: float = 0.0, cut: float = math.inf) -> Comparison:
    """Of nine in ten documents the largest is exp(3.3 spread) times the smallest."""

    def judge(runs: list[Pairs]) -> Estimate:
        return mean([change(run) for run in runs])

    name = f"{' + '.join(map(str, documents))} documents, sizes 1 to {math.exp(3.29 * spread):.0f}"
    name += f", cut at {cut:g} times the median" if cut < math.inf else ""
    name += ", the longer lose more" if slope else ""
    draw = bits_per_byte(documents, spread, slope, cut)
    return Comparison(name, draw, margin=0.01, judge=judge, resample=len(documents) == 1)


def seeded(seeds: int, sizes: tuple[int, ...], between: float, tied: float = 0.0) -> Comparison:
    name = f"{seeds} seeds, {sum(sizes)} items in {len(sizes)} clusters, {between:.0%} between seeds"
    return Comparison(name, answers(sizes, 0.6, 0.5, tied, seeds=seeds, between=between), judge=across_seeds)


def family(kind: str, sizes: Sequence[int]) -> Other:
    """Benchmarks of these sizes, none of which changed; then the last alone has lost the margin."""
    draws = [answers((1,) * items, 0.3 + 0.05 * place, 0.5) for place, items in enumerate(sizes)]

    def trial(random: np.random.Generator) -> list[bool]:
        same = [draw(random, 0.0)[0] for draw in draws]
        lost = [*same[:-1], draws[-1](random, -0.05)[0]]
        gains = judge_family([changed(pairs, "gain") for pairs in same])
        plain = [found.estimate.p_value < 0.05 for found in gains]
        shown = [found.p_value < 0.05 for found in gains]
        kept = [found.passed for found in judge_family([changed(pairs, "retention") for pairs in lost])]
        return [any(plain), any(shown), all(kept)]

    return Other(kind, ["any found, without Holm", "any found, by Holm", "all called kept, though one has lost"], trial)


def changed(pairs: Pairs, aim: Aim) -> Change:
    before, after = float(pairs.before.mean()), float(pairs.after.mean())
    return Change.of("", SCORE, before, after, change(pairs), n=len(pairs.items), confidence=0.95, aim=aim, margin=0.05)


def guesses(name: str, sizes: tuple[int, ...], options: Sequence[int], tied: float = 0.0) -> Other:
    """A model that guesses; in clusters, guesses hang together."""
    items, clusters, weights = frame(sizes)
    chances = 1 / np.resize(options, len(items))
    thresholds = norm.ppf(chances)

    def trial(random: np.random.Generator) -> list[bool]:
        common = random.normal(size=len(sizes))[clusters]
        noise = math.sqrt(tied) * common + math.sqrt(1 - tied) * random.normal(size=len(items))
        scores = TaskScores(items, (noise < thresholds).astype(np.float64), clusters, weights)
        return [better_than_guessing(scores, chances) <= 0.05]

    return Other(name, ["called better than guessing"], trial)


def flips(items: int, options: int, lost: float, won: float, known: float = 0.5) -> Other:
    """Items that are known or guessed, the guesses of the two models independent."""
    names, clusters, weights = frame((1,) * items)
    guess = 1 / options

    def trial(random: np.random.Generator) -> list[bool]:
        kind = random.choice(4, size=items, p=[known - lost, lost, won, 1 - known - won])
        before = (kind <= 1) | (random.random(items) < guess)
        after = (kind == 0) | (kind == 2) | (random.random(items) < guess)
        found = forgetting(Pairs(names, before.astype(float), after.astype(float), clusters, weights), guess)
        return [holds(found.forgotten.least.interval(0.95), lost), holds(found.learned.least.interval(0.95), won)]

    name = f"{items} items of {options} options, {lost:.0%} forgotten, {won:.0%} learned"
    return Other(name, ["holds what was forgotten", "holds what was learned"], trial)


def totals(items: int, accuracy: float, correlation: float) -> Other:
    draw = answers((1,) * items, accuracy, correlation)

    def trial(random: np.random.Generator) -> list[bool]:
        made = draw(random, 0.03)[0]
        found = unpaired_change(float(made.before.mean()), float(made.after.mean()), items)
        return [holds(found.interval(0.95), 0.03)]

    return Other(f"{items:,} items, accuracy {accuracy:g}, correlation {correlation:g}", ["holds the change"], trial)


def right_or_wrong() -> Iterator[Comparison]:
    for items in (100, 164, 500, 1319):
        for accuracy in (0.25, 0.6, 0.9):
            yield independent(items, accuracy, 0.5)
    for correlation in (0.0, 0.3, 0.8):
        yield independent(500, 0.6, correlation)
    for items in (50, 100, 164, 500, 1319):
        yield independent(items, 0.97, 0.5)


TABLES: dict[str, list[Comparison] | list[Other]] = {
    "right or wrong, independent": list(right_or_wrong()),
    "right or wrong, clusters": [
        clustered("5 of 20 items", (20,) * 5),
        clustered("10 of 10", (10,) * 10),
        clustered("20 of 5", (5,) * 20),
        clustered("20 of 25", (25,) * 20),
        clustered("20 of 25", (25,) * 20, tied=0.8),
        clustered("40 of 5", (5,) * 40),
        clustered("40 of 5", (5,) * 40, accuracy=0.9),
        clustered("40 of 5", (5,) * 40, accuracy=0.97),
        clustered("100 of 5", (5,) * 100),
        clustered("500 of 3", (3,) * 500),
        clustered("20 of 3 to 70", unequal(20, 400)),
        clustered("40 of 2 to 60", unequal(40, 600)),
        clustered("57 of 10 to 1,000", unequal(57, 6000)),
        clustered("57 of 10 to 1,000", unequal(57, 6000), tied=0.05),
        clustered("100 of 1 to 20", unequal(100, 500)),
        clustered("one of 100, 40 of 5", (100, *(5,) * 40)),
    ],
    "partial credit": [
        partial("means of 4 samples, 100 items", (1,) * 100, 0.6, 4),
        partial("means of 4 samples, 100 items", (1,) * 100, 0.95, 4),
        partial("means of 4 samples, 500 items", (1,) * 500, 0.6, 4),
        partial("means of 4 samples, 500 items", (1,) * 500, 0.97, 4),
        partial("means of 4 samples, 20 clusters of 10", (10,) * 20, 0.6, 4, 0.3),
        partial("means of 16 samples, 40 clusters of 1 to 20", unequal(40, 200), 0.6, 16, 0.3),
    ],
    "bits per byte": [
        bits(16),
        bits(40),
        bits(100, spread=0.5),
        bits(100),
        bits(100, spread=1.5),
        bits(40, slope=0.01),
        bits(100, slope=0.01),
        bits(300, slope=0.01),
        bits(100, spread=1.5, slope=0.01),
        bits(300, spread=1.5, slope=0.01),
        bits(16, 40, 100),
        bits(16, 40, 100, slope=0.01),
        bits(100, spread=1.5, slope=0.01, cut=4.0),
        bits(300, spread=1.5, slope=0.01, cut=4.0),
    ],
    "seeds and items": [
        seeded(2, (1,) * 200, 0.1),
        seeded(3, (1,) * 200, 0.02),
        seeded(3, (1,) * 200, 0.1),
        seeded(3, (5,) * 40, 0.1, 0.3),
        seeded(5, (1,) * 200, 0.0),
        seeded(5, (1,) * 1000, 0.02),
        seeded(5, (5,) * 40, 0.1, 0.3),
        seeded(10, (1,) * 200, 0.1),
    ],
    "families": [
        family("3 of 500 items", (500,) * 3),
        family("8 of 164 to 2,000", (164, 250, 350, 500, 700, 1000, 1319, 2000)),
    ],
    "guessing": [
        guesses("100 items of 4 options", (1,) * 100, [4]),
        guesses("164 items of 2 to 5 options", (1,) * 164, [2, 3, 4, 5]),
        guesses("1,000 items of 4 options", (1,) * 1000, [4]),
        guesses("20 clusters of 5, tied 0.3", (5,) * 20, [4], 0.3),
        guesses("40 clusters of 2 to 60, tied 0.3", unequal(40, 600), [4], 0.3),
    ],
    "known and guessed": [
        flips(100, 4, 0.05, 0.1),
        flips(500, 4, 0.05, 0.1),
        flips(500, 4, 0.0, 0.02),
        flips(1000, 2, 0.05, 0.1),
    ],
    "published totals": [totals(164, 0.4, 0.0), totals(1319, 0.6, 0.0), totals(1319, 0.6, 0.5), totals(2376, 0.9, 0.5)],
}


if __name__ == "__main__":
    main()
