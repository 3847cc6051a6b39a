"""What a study shows, as numbers and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.files import read_json, write_json
from sapwood.mixture.decided import RUNS
from sapwood.studies.directory import StudyDirectory
from sapwood.studies.judge import ArmChange, Contrast, Findings, judge_study
from sapwood.studies.page import StudyFacts, write_page
from sapwood.studies.plan import StudyPlan, planned
from sapwood.studies.search import Forecast, all_arms, forecasts
from sapwood.studies.study import Study, load_study
from sapwood.studies.transfer import Certificate, certify, write_recipe

LOOKED = (
    "Seeds were changed after conclusions had been drawn with {} seeds. p-values and intervals are of a design that "
    "was fixed beforehand; after a look they promise too much."
)


@dataclass(frozen=True, slots=True)
class StudyReport:
    """What a study shows, and where it is written."""

    plan: StudyPlan
    findings: dict[str, Findings]
    """By size; one without a name where there are no sizes."""
    forecasts: tuple[Forecast, ...]
    """Of the solved mixture, where one was searched for."""
    certificates: tuple[Certificate, ...]
    """Of the smaller sizes, where there are several."""
    remark: str
    """That seeds were added after conclusions had been drawn; empty where none were."""
    page: Path
    recipe: Path | None
    """That of the largest size with the settings that transfer; None without a certificate."""

    @property
    def conclusions(self) -> list[str]:
        """What the study shows, in sentences."""
        judged = [
            f"{size}: {sentence}" if size else sentence
            for size, found in self.findings.items()
            for sentence in found.conclusions
        ]
        judged = [self.remark, *judged] if self.remark else judged
        return [*judged, *(f.sentence for f in self.forecasts), *(c.sentence for c in self.certificates)]


def report_study(study: Study | str | Path, runs: str | Path = RUNS) -> StudyReport:
    """Judges a study and writes its page, `runs/NAME/study.html`, and its numbers, `findings.json`.

    While trials are still to be run the report is an interim one: it shows what is there, and compares no arms. Raises
    SapwoodError as `plan_study` does, and where no trial is finished.
    """
    loaded = study if isinstance(study, Study) else load_study(study)
    directory = StudyDirectory(Path(runs) / loaded.name)
    arms = all_arms(loaded, directory)
    plan = planned(loaded, directory, arms)
    if not plan.done:
        raise SapwoodError(f"No trial of study '{loaded.name}' is finished yet: `sapwood study run` runs them.")
    findings = {
        size: judge_study(loaded, directory, [arm for arm in arms if arm.size == size], plan.primaries)
        for size in loaded.recipes
    }
    judged = _judged(loaded, directory, final=not any(found.is_interim for found in findings.values()))
    said = tuple(forecasts(loaded, directory, plan.primaries))
    certificates = tuple(certify(plan))
    recipe = write_recipe(plan, certificates, directory.root / f"recipe-{list(loaded.recipes)[-1]}.yaml")
    numbers: dict[str, Any] = {size or loaded.name: _numbers(found) for size, found in findings.items()}
    numbers |= {"forecasts": [f.sentence for f in said], "certificates": [c.sentence for c in certificates]}
    numbers["judged_with_seeds"] = judged
    write_json(directory.findings, numbers)
    remark = LOOKED.format(len(judged[0])) if len(judged) > 1 else ""
    page = write_page(StudyFacts(plan, findings, said, certificates, remark))
    return StudyReport(plan, findings, said, certificates, remark, page, recipe)


def _judged(study: Study, directory: StudyDirectory, *, final: bool) -> list[list[int]]:
    """The seeds with which conclusions were drawn, report by report, this one among them where it draws any."""
    before: list[list[int]] = []
    if directory.findings.exists():
        before = read_json(directory.findings, f"Remove {directory.findings}: it is written again.")[
            "judged_with_seeds"
        ]
    return [*before, study.seeds] if final and study.seeds not in before else before


def _numbers(found: Findings) -> dict[str, Any]:
    """Everything that the page says, for another program."""
    return {
        "question": found.study.question,
        "trials": found.trials,
        "failed": dict(found.failed),
        "missing": list(found.missing),
        "noise": {
            noise.primary.name: {
                "between_seeds": _known(noise.between_seeds),
                "of_differences": _known(noise.of_differences),
                "detectable": _known(noise.detectable),
            }
            for noise in found.noise
        },
        "since_base": [_changed(item) for item in found.arms],
        "against_reference": [_changed(item) for item in found.contrasts],
        "conclusions": found.conclusions,
    }


def _changed(item: ArmChange | Contrast) -> dict[str, Any]:
    change = item.change
    return {
        "arm": item.arm.name,
        **({"reference": item.reference.name} if isinstance(item, Contrast) else {"levels": list(item.levels)}),
        "primary": item.primary.name,
        "metric": change.metric.name,
        "seeds": list(item.seeds),
        "before": change.before,
        "after": change.after,
        "improvement": change.value,
        "interval": [_known(change.low), _known(change.high)],
        "p_value": change.p_value if len(item.seeds) > 1 else None,
        "documents_or_items": change.n,
    }


def _known(value: float) -> float | None:
    """A number of JSON: null for what is not known."""
    return value if abs(value) < float("inf") else None
