"""Where a study lies, and how each trial ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from sapwood.files import read_json, reading, write_json
from sapwood.runs.directory import RunDirectory


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended."""

    recipe: str
    """The fingerprint of what decides its outcome."""
    seconds: float
    """From its start to its end, over all attempts that ended; of one that was killed nothing is known."""
    tokens: int
    """Trained on."""
    error: str
    """Why it failed; empty where it is finished."""

    @property
    def finished(self) -> bool:
        """Whether the trial was trained and measured."""
        return not self.error


@dataclass(frozen=True, slots=True)
class StudyDirectory:
    """The paths of one study."""

    root: Path

    @property
    def trials(self) -> Path:
        """One run directory a trial, by its name."""
        return self.root / "trials"

    def trial(self, name: str) -> RunDirectory:
        """The run of a trial."""
        return RunDirectory(self.trials / name)

    def shared(self, fingerprint: str) -> RunDirectory:
        """A run that is only prepared, and its base model measured; trials take their documents and tokens from it."""
        return RunDirectory(self.root / "shared" / fingerprint)

    def log(self, name: str) -> Path:
        """What the process of a trial, or of a preparation, printed."""
        return self.root / "logs" / f"{name}.log"

    def result(self, name: str) -> TrialResult | None:
        """How a trial ended; None where it did not."""
        path = self._result(name)
        if not path.exists():
            return None
        remedy = f"Remove {path}: `sapwood study run` looks at the trial again."
        record = read_json(path, remedy)
        with reading(path, remedy):
            return TrialResult(**record)

    def record(self, name: str, result: TrialResult) -> None:
        """Writes down how a trial ended."""
        write_json(self._result(name), asdict(result), sealed=True)

    def _result(self, name: str) -> Path:
        return self.root / "results" / f"{name}.json"

    @property
    def solution(self) -> Path:
        """The mixture that was solved for, with the laws."""
        return self.root / "solution.json"

    @property
    def findings(self) -> Path:
        """The findings in numbers."""
        return self.root / "findings.json"

    @property
    def page(self) -> Path:
        """The report."""
        return self.root / "study.html"
