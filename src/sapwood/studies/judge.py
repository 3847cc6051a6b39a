"""What a study shows: the noise of its trials, every arm since the base model, arms against the reference, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sapwood.evaluation.result import ADAPTED, BASE
from sapwood.statistics.change import Change
from sapwood.statistics.estimate import Estimate
from sapwood.statistics.family import holm
from sapwood.statistics.paired import Pairs, change
from sapwood.statistics.power import Design
from sapwood.statistics.seeds import across_seeds
from sapwood.studies.directory import StudyDirectory
from sapwood.studies.primary import Primary
from sapwood.studies.study import Study
from sapwood.studies.trials import Arm, Trial


@dataclass(frozen=True, slots=True)
class Noise:
    """How much trials of one arm differ in a metric, and how much the difference of two arms does between seeds."""

    primary: Primary
    between_seeds: float
    """The standard deviation of the level between seeds of one arm, pooled over arms; NaN with one seed."""
    of_differences: float
    """That of the difference of an arm and the reference with the same seed: what pairing leaves of the noise."""
    detectable: float
    """The smallest true difference that four of five such studies show, at the first step of Holm's procedure."""


@dataclass(frozen=True, slots=True)
class ArmChange:
    """How an arm's models changed since the base model in a metric, over seeds and held-out documents."""

    arm: Arm
    primary: Primary
    change: Change
    """Without a verdict in an interim report."""
    seeds: tuple[int, ...]
    """Those that are finished."""
    levels: tuple[float, ...]
    """After training, by seed."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """An arm against the reference in a metric, seed by seed."""

    arm: Arm
    reference: Arm
    primary: Primary
    change: Change
    """Above zero the arm is better. Its p-value is adjusted by Holm over all comparisons of the study."""
    seeds: tuple[int, ...]
    """With which both are finished."""

    @property
    def is_shown(self) -> bool:
        """Whether there is a difference, by the adjusted p-value."""
        return self.change.p_value < 1 - self.change.confidence

    @property
    def excluded(self) -> float:
        """The difference above which everything, on both sides, lies outside the interval."""
        return max(abs(self.change.low), abs(self.change.high))

    @property
    def is_equal(self) -> bool:
        """Whether any difference as large as the margin is excluded."""
        return self.excluded < self.change.margin

    @property
    def conclusion(self) -> str:
        """What it shows, in a sentence."""
        found, metric = self.change, self.change.metric
        names = f"'{self.arm.label}'", f"'{self.reference.label}'"
        unit, digits = metric.unit, metric.decimals + 1

        def shown(value: float) -> str:
            return f"{metric.scale * abs(value):.{digits}f}"

        if len(self.seeds) < 2:
            return f"{self.primary.name}: nothing can be concluded from {len(self.seeds)} seed of {names[0]}."
        interval = f"{metric.scale * found.low:+.{digits}f} to {metric.scale * found.high:+.{digits}f}"
        if self.is_shown:
            way = "better" if found.value > 0 else "worse"
            small = ", within the margin" if self.is_equal else ""
            return (
                f"{self.primary.name}: {names[0]} is {way} than {names[1]} by {shown(found.value)} {unit} "
                f"({found.confidence:.0%} interval {interval}, p = {found.p_value:.2g} by Holm{small})."
            )
        equal = ": they are equal within the margin" if self.is_equal else ""
        return (
            f"{self.primary.name}: no difference could be shown between {names[0]} and {names[1]}; anything above "
            f"{shown(self.excluded)} {unit} is excluded ({found.confidence:.0%} interval {interval}){equal}."
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a study shows so far."""

    study: Study
    primaries: tuple[Primary, ...]
    trials: int
    failed: Mapping[str, str]
    """Why trials failed, by name."""
    missing: tuple[str, ...]
    """Trials that were not run, or did not end."""
    noise: tuple[Noise, ...]
    arms: tuple[ArmChange, ...]
    contrasts: tuple[Contrast, ...]
    """None of an interim report: looking at differences while seeds can still be added makes some of them look real."""

    @property
    def is_interim(self) -> bool:
        """Whether trials are still to be run: no conclusion is drawn before they are."""
        return bool(self.missing)

    @property
    def conclusions(self) -> list[str]:
        """What the study shows, in sentences."""
        if self.is_interim:
            return [
                f"Interim: {len(self.missing)} of {self.trials} trials are to be run. No conclusion is drawn before; "
                "arms are not compared."
            ]
        failed = [
            f"Arm '{name}' failed: see its trials. It is compared with the seeds that both have."
            for name in dict.fromkeys(name.rpartition(".seed-")[0] for name in self.failed)
        ]
        return [*failed, *(contrast.conclusion for contrast in self.contrasts)]


def judge_study(study: Study, directory: StudyDirectory, arms: Sequence[Arm], primaries: Sequence[Primary]) -> Findings:
    """Judges what is finished of a study, at one size. Raises SapwoodError where trials were not measured alike."""
    results = {trial.name: trial.result(directory) for arm in arms for trial in arm.trials()}
    finished = {
        arm.label: tuple(t.seed for t in arm.trials() if (r := results[t.name]) is not None and r.finished)
        for arm in arms
    }
    missing = tuple(name for name, result in results.items() if result is None)
    declared = [arm for arm in arms if not arm.drawn]
    changes = [
        _since_base(study, directory, arm, primary, finished[arm.label], judged=not missing)
        for primary in primaries
        for arm in declared
        if finished[arm.label]
    ]
    reference = next(arm for arm in declared if arm.name == study.reference_arm)
    pairs = {
        (primary.name, arm.label): _paired(directory, reference, arm, primary, finished)
        for primary in primaries
        for arm in declared
        if arm is not reference
    }
    return Findings(
        study=study,
        primaries=tuple(primaries),
        trials=len(results),
        failed={name: result.error for name, result in results.items() if result is not None and result.error},
        missing=missing,
        noise=tuple(_noise(study, primary, changes, pairs, len(pairs)) for primary in primaries),
        arms=tuple(changes),
        contrasts=() if missing else tuple(_compared(study, reference, declared, primaries, pairs, finished)),
    )


def _since_base(
    study: Study, directory: StudyDirectory, arm: Arm, primary: Primary, seeds: tuple[int, ...], *, judged: bool
) -> ArmChange:
    runs = [directory.trial(Trial(arm, seed).name) for seed in seeds]
    pairs = [primary.pair(run, BASE, run, ADAPTED) for run in runs]
    levels = tuple(primary.level(run, ADAPTED) for run in runs)
    found = Change.of(
        arm.label,
        primary.metric,
        primary.level(runs[0], BASE),
        sum(levels) / len(levels),
        over_seeds(pairs),
        n=len(pairs[0].items),
        confidence=study.confidence,
        aim=primary.aim,
        margin=study.margin,
    )
    return ArmChange(arm, primary, found.judged() if judged else found, seeds, levels)


def _paired(
    directory: StudyDirectory, reference: Arm, arm: Arm, primary: Primary, finished: Mapping[str, tuple[int, ...]]
) -> list[Pairs]:
    """The reference and an arm with the same seed, for every seed that both have finished."""
    found = []
    for seed in finished[arm.label]:
        if seed in finished[reference.label]:
            before, after = (directory.trial(Trial(one, seed).name) for one in (reference, arm))
            found.append(primary.pair(before, ADAPTED, after, ADAPTED))
    return found


def over_seeds(pairs: Sequence[Pairs]) -> Estimate:
    """The mean over seeds; of one seed its standard error is unknown, since it says nothing of others."""
    if len(pairs) > 1:
        return across_seeds(pairs)
    return replace(change(pairs[0]), standard_error=math.nan, degrees_of_freedom=math.nan, parts=())


def _compared(
    study: Study,
    reference: Arm,
    arms: Sequence[Arm],
    primaries: Sequence[Primary],
    pairs: Mapping[tuple[str, str], Sequence[Pairs]],
    finished: Mapping[str, tuple[int, ...]],
) -> list[Contrast]:
    found = []
    for primary in primaries:
        for arm in arms:
            runs = pairs.get((primary.name, arm.label))
            if not runs:
                continue
            old, new = (
                float(np.mean([np.average(scores, weights=run.weights) for run, scores in side]))
                for side in ([(run, run.before) for run in runs], [(run, run.after) for run in runs])
            )
            compared = Change.of(
                arm.label,
                primary.metric,
                old,
                new,
                over_seeds(runs),
                n=len(runs[0].items),
                confidence=study.confidence,
                margin=study.margin,
            )
            seeds = tuple(seed for seed in finished[arm.label] if seed in finished[reference.label])
            found.append(Contrast(arm, reference, primary, compared, seeds))
    adjusted = holm([contrast.change.p_value for contrast in found])
    return [
        replace(contrast, change=replace(contrast.change, p_value=p_value))
        for contrast, p_value in zip(found, adjusted, strict=True)
    ]


def _noise(
    study: Study,
    primary: Primary,
    changes: Sequence[ArmChange],
    pairs: Mapping[tuple[str, str], Sequence[Pairs]],
    comparisons: int,
) -> Noise:
    own = [found.levels for found in changes if found.primary is primary]
    differences = [[change(run).value for run in runs] for (name, _), runs in pairs.items() if name == primary.name]
    deviation = _pooled(differences)
    effect = math.inf
    seeds = len(study.seeds)
    if seeds > 1 and not math.isnan(deviation):
        significance = (1 - study.confidence) / max(1, comparisons)
        effect = Design(deviation=deviation, significance=significance).smallest_effect(seeds)
    return Noise(primary, _pooled(own), deviation, effect)


def _pooled(groups: Sequence[Sequence[float]]) -> float:
    """The standard deviation within groups, pooled by their degrees of freedom; NaN where there are none."""
    squares = sum(float(np.sum((np.array(group) - np.mean(group)) ** 2)) for group in groups if group)
    freedom = sum(len(group) - 1 for group in groups if group)
    return math.sqrt(squares / freedom) if freedom else math.nan
