"""The scores of documents in the order in which they came: whether a curriculum was one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError
from sapwood.mixture.epochs import read_epoch
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.order import Scores
from sapwood.mixture.weights import source_of
from sapwood.runs.directory import RunDirectory
from sapwood.tokens.store import SYNONYMS, TokenStore, read_scores

PARTS = 10
"""What a stage trained on of a source is taken in so many parts, of equally many tokens."""

Stretch = tuple[int, int]
"""Tokens of a domain, counted over all epochs: from, and up to."""


@dataclass(frozen=True, slots=True)
class Curriculum:
    """What a stage trained on of a source whose documents it ordered by a score."""

    stage: str
    source: str
    score: str
    means: tuple[float, ...]
    """The mean score over the tokens of each part, in the order in which they came; NaN where no document has one."""
    shuffled: float
    """The mean over all documents of the source: what a shuffle would make of every part."""
    epochs: float
    """How often the stage has gone through the source."""


def read_curricula(run: RunDirectory, ledger: Ledger, position: int) -> list[Curriculum]:
    """What became of the orders by a score, up to a position of the run.

    The topics of a source are taken together, part by part; means of perplexities are geometric. Sources are left out
    whose epochs, tokens or scores are not in the run directory.
    """
    found = []
    for stage, source, score, stretches in _ordered(ledger, position):
        try:
            scores = read_scores(store_of(run, source), TokenStore(run.tokens(source), "train"), score)
            sums = [_Sums(run.epochs(domain), scores) for domain in stretches]
            parts = sum(part.parts(stretch) for part, stretch in zip(sums, stretches.values(), strict=True))
        except SapwoodError:
            continue
        whole = sum(part.whole for part in sums)
        means = _means(np.vstack([parts, whole]), score)
        trained = sum(stop - start for start, stop in stretches.values())
        epochs = trained / sum(part.tokens for part in sums)
        found.append(Curriculum(stage, source, score, tuple(means[:-1]), means[-1], epochs))
    return found


def _ordered(ledger: Ledger, position: int) -> Iterator[tuple[str, str, str, Mapping[str, Stretch]]]:
    """Stage, source, score, and which tokens of each domain of the source came, of every order by a score."""
    for stage in dict.fromkeys(entry.stage for entry in ledger.rounds):
        rounds = [entry for entry in ledger.of_stage(stage) if entry.start < position]
        if not rounds:
            continue
        first, reached = rounds[0].first, rounds[-1].consumed_until(min(position, rounds[-1].stop))
        scores = {domain: order.by for domain, order in rounds[0].orders.items() if order.by != "shuffle"}
        for source in dict.fromkeys(map(source_of, scores)):
            domains = [domain for domain in scores if source_of(domain) == source]
            stretches = {domain: (first.get(domain, 0), reached.get(domain, 0)) for domain in domains}
            stretches = {domain: stretch for domain, stretch in stretches.items() if stretch[0] < stretch[1]}
            if stretches:
                yield stage, source, scores[domains[0]], stretches


class _Sums:
    """Sums over the tokens of a domain, as its epochs lay them on end."""

    def __init__(self, directory: Path, scores: Scores) -> None:
        """Raises SapwoodError where there are no epochs in `directory`."""
        self.directory = directory
        self.scores = scores
        numbers = sorted(int(path.name.partition("-")[0]) for path in directory.glob("[0-9]*-*"))
        if not numbers:
            raise SapwoodError(f"There are no epochs in {directory}.")
        starts, sums = self._epoch(numbers[0])
        self.tokens = int(starts[-1])
        """Of one epoch."""
        self.whole: npt.NDArray[np.float64] = sums[-1]
        """Of the scores, and of the tokens that have one, over one epoch."""

    def parts(self, stretch: Stretch) -> npt.NDArray[np.float64]:
        """The same of `PARTS` equal parts of a stretch, `[parts, 2]`."""
        start, stop = stretch
        places = [start + Fraction((stop - start) * part, PARTS) for part in range(PARTS + 1)]
        return np.diff(np.array([self._until(place) for place in places]), axis=0)

    def _until(self, place: Fraction) -> npt.NDArray[np.float64]:
        number, inside = divmod(place, self.tokens)
        if not inside:
            return np.asarray(number * self.whole)
        starts, sums = self._epoch(number)
        return np.asarray([np.interp(float(inside), starts, column) for column in sums.T]) + number * self.whole

    def _epoch(self, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Where the documents of an epoch begin, and the sums up to there, `[documents + 1, 2]`."""
        path = next(self.directory.glob(f"{number:05d}-*"), None)
        if path is None:
            raise SapwoodError(f"Epoch {number} is not in {self.directory}.")
        found = read_epoch(path)
        starts = found.starts
        scores, lengths = self.scores[found.documents], np.diff(starts)
        known = ~np.isnan(scores)
        amounts = np.stack([np.where(known, scores, 0.0) * lengths, known * lengths], axis=1)
        return starts, np.concatenate([np.zeros((1, 2)), np.cumsum(amounts, axis=0)])


def _means(sums: npt.NDArray[np.float64], score: str) -> list[float]:
    means = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] > 0)
    return [float(value) for value in (np.exp(means) if score in SYNONYMS else means)]
