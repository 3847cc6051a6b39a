"""The transfer certificate: whether what small models showed holds for a larger one, and its recipe with what does.

The same arms are run at several sizes. Of each smaller size: do the arms come in the same order as at the largest (rank
correlation), of how many pairs of arms does it name the better one (decision accuracy), and what is lost by taking its
best arm instead of the largest's own (regret). Intervals are by a bootstrap over seeds. Where theory says that nothing
transfers, no certificate is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from scipy.stats import rankdata

from sapwood.evaluation.result import ADAPTED
from sapwood.files import atomic_file
from sapwood.recipe.units import show_tokens
from sapwood.runs.directory import RunDirectory
from sapwood.studies.directory import StudyDirectory
from sapwood.studies.plan import StudyPlan
from sapwood.studies.primary import Primary
from sapwood.studies.trials import Arm, Trial

RESAMPLES = 2000
LEAST_ARMS = 3
Levels = npt.NDArray[np.float64]
"""[arms, seeds]; turned so that more is better."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A number with its 95% interval, by a bootstrap over seeds."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far a smaller size foretells the largest in a metric."""

    primary: Primary
    small: str
    large: str
    refusal: str
    """Why there is none; the numbers are not given then."""
    correlation: Bounded | None = None
    """Spearman's, of the arms' mean levels at both sizes."""
    accuracy: Bounded | None = None
    """The share of pairs of arms of which the small size names the better one."""
    regret: Bounded | None = None
    """What the largest loses with the small size's best arm, in the unit of the metric."""
    best: str = ""
    """The small size's best arm."""

    @property
    def sentence(self) -> str:
        """What it says."""
        where = f"{self.primary.name}, {self.small} to {self.large}"
        if self.correlation is None or self.accuracy is None or self.regret is None:
            return f"{where}: no certificate. {self.refusal}"
        metric = self.primary.metric
        lost, low, high = (
            f"{metric.scale * number:.{metric.decimals + 1}f}" for number in (self.regret.value, *self.regret.interval)
        )
        return (
            f"{where}: rank correlation {self.correlation.value:.2f} ({_shown(self.correlation.interval)}), the better "
            f"of two arms named in {self.accuracy.value:.0%} of pairs ({_shown(self.accuracy.interval)}); with the "
            f"best arm at {self.small}, '{self.best}', the loss is {lost} {metric.unit} ({low} to {high})."
        )


def certify(plan: StudyPlan, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Certificate]:
    """A certificate for every smaller size and metric, from the trials that are finished; none of a study of one size.

    Refused where the sizes have other token budgets (the best mixture moves with the budget: AutoScale, arXiv
    2407.20177), where a benchmark is at chance at one of them, and with fewer than three arms or two seeds that all
    have.
    """
    sizes = list(plan.study.sizes)
    if len(sizes) < 2:
        return []
    *smaller, large = sizes
    rng = np.random.default_rng(seed)
    return [
        _certificate(plan, primary, small, large, resamples, rng) for small in smaller for primary in plan.primaries
    ]


def _certificate(
    plan: StudyPlan, primary: Primary, small: str, large: str, resamples: int, rng: np.random.Generator
) -> Certificate:
    arms = {
        size: {row.arm.name: row for row in plan.arms if row.arm.size == size and row.done} for size in (small, large)
    }
    names = [name for name in arms[small] if name in arms[large]]
    seeds = _shared_seeds(plan, [arms[size][name].arm for size in (small, large) for name in names])
    refusal = _refusal(plan, primary, small, large, names, seeds)
    if refusal:
        return Certificate(primary, small, large, refusal)
    levels = [_levels(plan.directory, primary, [arms[s][name].arm for name in names], seeds) for s in (small, large)]
    drawn = np.array([_measures(*(_resampled(level, rng) for level in levels)) for _ in range(resamples)])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    correlation, accuracy, regret = (
        Bounded(value, (float(low[n]), float(high[n]))) for n, value in enumerate(_measures(levels[0], levels[1]))
    )
    best = names[int(levels[0].mean(axis=1).argmax())]
    return Certificate(primary, small, large, "", correlation, accuracy, regret, best)


def _refusal(
    plan: StudyPlan, primary: Primary, small: str, large: str, names: Sequence[str], seeds: Sequence[int]
) -> str:
    tokens = {size: {row.tokens for row in plan.arms if row.arm.size == size} for size in (small, large)}
    if tokens[small] != tokens[large]:
        one, other = (show_tokens(max(tokens[size])) for size in (small, large))
        return f"The trials have {one} tokens at {small} and {other} at {large}: the best arm moves with the budget."
    if len(names) < LEAST_ARMS:
        return f"{len(names)} arms are finished at both sizes; an order takes {LEAST_ARMS}."
    if len(seeds) < 2:
        return "All arms have to be finished at both sizes with two or more of the same seeds."
    chance = [
        size
        for size in (small, large)
        if all(primary.at_chance(run, ADAPTED) for run in _runs(plan, size, names, seeds))
    ]
    return f"All arms are at chance at {chance[0]}: their order is noise." if chance else ""


def _runs(plan: StudyPlan, size: str, names: Sequence[str], seeds: Sequence[int]) -> list[RunDirectory]:
    arms = {row.arm.name: row.arm for row in plan.arms if row.arm.size == size}
    return [plan.directory.trial(Trial(arms[name], seed).name) for name in names for seed in seeds]


def _shared_seeds(plan: StudyPlan, arms: Sequence[Arm]) -> list[int]:
    """The seeds with which all these arms are finished."""
    return [
        seed
        for seed in plan.study.seeds
        if all((r := plan.directory.result(Trial(arm, seed).name)) is not None and r.finished for arm in arms)
    ]


def _levels(directory: StudyDirectory, primary: Primary, arms: Sequence[Arm], seeds: Sequence[int]) -> Levels:
    found = [[primary.level(directory.trial(Trial(arm, seed).name), ADAPTED) for seed in seeds] for arm in arms]
    return np.array([[primary.metric.turned(level) for level in row] for row in found])


def _resampled(levels: Levels, rng: np.random.Generator) -> Levels:
    """Seeds drawn again with replacement, the same for all arms: they are paired."""
    return levels[:, rng.integers(0, levels.shape[1], levels.shape[1])]


def _measures(small: Levels, large: Levels) -> tuple[float, float, float]:
    """Rank correlation, decision accuracy and regret, by the arms' means [arms, seeds]."""
    few, many = small.mean(axis=1), large.mean(axis=1)
    ranks = rankdata(few), rankdata(many)
    spread = np.std(ranks[0]) * np.std(ranks[1])
    correlation = float(np.cov(*ranks, bias=True)[0, 1] / spread) if spread > 0 else 0.0
    pairs = list(combinations(range(len(few)), 2))
    right = sum((few[a] > few[b]) == (many[a] > many[b]) for a, b in pairs)
    return correlation, right / len(pairs), float(many.max() - many[few.argmax()])


def _shown(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def write_recipe(plan: StudyPlan, certificates: Sequence[Certificate], path: Path) -> Path | None:
    """Writes the recipe of the largest size with the settings of the arm that the next smaller one found best in the
    first metric, each with a comment: where it came from, how sure. None where there is no certificate for that."""
    found = [c for c in certificates if c.primary is plan.primaries[0] and not c.refusal]
    if not found:
        return None
    certificate = found[-1]
    [arm] = [row.arm for row in plan.arms if (row.arm.name, row.arm.size) == (certificate.best, certificate.large)]
    yaml = YAML()
    yaml.width = 110
    document = yaml.load(arm.file.read_text(encoding="utf-8-sig"))
    for dotted, value in arm.fields.items():
        _set(document, dotted, value, f"from arm '{arm.name}' of study '{plan.study.name}'")
    document.yaml_set_start_comment(_wrapped(plan, certificate))
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)
    return path


def _wrapped(plan: StudyPlan, certificate: Certificate) -> str:
    return (
        f"Settings carried from study '{plan.study.name}', seeds {', '.join(map(str, plan.study.seeds))}.\n"
        f"How sure: {certificate.sentence}\n"
        "It holds for this budget of tokens, this kind of text and models of about these sizes.\n"
    )


def _set(document: Any, dotted: str, value: Any, comment: str) -> None:
    """Sets a field of a YAML document by its dotted path, with a comment at the end of its line."""
    *parents, last = dotted.split(".")
    place = document
    for part in parents:
        is_list = isinstance(place, CommentedSeq)
        place = place[_item(place, part)] if is_list else place.setdefault(part, CommentedMap())
    if isinstance(place, CommentedSeq):
        place[_item(place, last)] = value
        return
    place[last] = _in_line(value)
    place.yaml_add_eol_comment(comment, last)


def _item(sequence: CommentedSeq, part: str) -> int:
    names = [str(item.get("name", n)) if isinstance(item, Mapping) else str(n) for n, item in enumerate(sequence)]
    return names.index(part) if part in names else int(part)


def _in_line(value: Any) -> Any:
    """Mappings as people write shares, on one line."""
    if isinstance(value, Mapping):
        found = CommentedMap({name: _in_line(part) for name, part in value.items()})
        found.fa.set_flow_style()
        return found
    return value
