"""How arms got where they are: what was measured of held-out text in the course of training, over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from sapwood.evaluation.result import BASE
from sapwood.report.plots import Trajectory
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import read_metrics
from sapwood.statistics.estimate import Estimate
from sapwood.studies.directory import StudyDirectory
from sapwood.studies.judge import ArmChange, over_seeds
from sapwood.studies.primary import Primary
from sapwood.studies.trials import Trial


def trajectories(directory: StudyDirectory, changes: Sequence[ArmChange], primary: Primary) -> list[Trajectory]:
    """The improvement since the base model of every arm over the tokens, where it was measured between rounds.

    Points are where all finished seeds of an arm were measured. Empty where nothing was measured in the course.
    """
    found = []
    for arm_change in changes:
        if arm_change.primary is not primary or not primary.sources:
            continue
        runs = [directory.trial(Trial(arm_change.arm, seed).name) for seed in arm_change.seeds]
        labels = [set(_labels(run)) for run in runs]
        steps = read_metrics(runs[0].metrics)
        tokens = {f"step-{step.step:08}": step.tokens for step in steps}
        points: list[tuple[int, Estimate]] = [(0, Estimate(0.0, 0.0, float("inf")))]
        for label in sorted(set.intersection(*labels)):
            estimate = over_seeds([primary.pair(run, BASE, run, label) for run in runs])
            points.append((tokens.get(label, steps[-1].tokens), estimate))
        if len(points) == 1:
            continue
        points.append((steps[-1].tokens, arm_change.change.estimate))
        course = dict(points)  # after the last round the adapted model is measured too: one point
        found.append(Trajectory(arm_change.arm.label, tuple(course), tuple(course.values())))
    return found


def _labels(run: RunDirectory) -> list[str]:
    return [path.stem for path in run.evaluation.glob("step-*.json")]
