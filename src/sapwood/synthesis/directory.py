"""Where everything of a synthesis job lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sapwood.corpus.store import SourceStore
from sapwood.generation.asker import file_name
from sapwood.recipe.server import ModelServer
from sapwood.runs.manifest import NAME

CHUNKS = "items/[0-9]*.jsonl"


@dataclass(frozen=True, slots=True)
class JobDirectory:
    """The paths of one job."""

    root: Path

    @property
    def job(self) -> Path:
        """The job with every default written out."""
        return self.root / "job.yaml"

    @property
    def accepted(self) -> Path:
        """The items that passed, one record of JSON a line."""
        return self.root / "accepted.jsonl"

    @property
    def rejected(self) -> Path:
        """Those that did not, with the stage and the reason."""
        return self.root / "rejected.jsonl"

    @property
    def account(self) -> Path:
        """How many items every stage saw and rejected."""
        return self.root / "account.json"

    @property
    def remedy(self) -> str:
        """What to do where a file of a finished job is missing or damaged."""
        return (
            f"Remove that file and {self.root / NAME}: `sapwood synthesize` makes them again of what was answered, and "
            "asks for nothing twice."
        )

    def chunks(self) -> list[Path]:
        """The chunks of items that are settled, in order."""
        return sorted(self.root.glob(CHUNKS))

    def chunk(self, number: int) -> Path:
        """One of them."""
        return self.root / "items" / f"{number:05d}.jsonl"

    @property
    def requests(self) -> Path:
        """Batch files of what waits for an answer."""
        return self.root / "requests"

    def fleet(self, server: ModelServer) -> Path:
        """What a fleet of this model is being asked, and has answered."""
        return self.root / "fleet" / file_name(server.label)

    @property
    def calibration(self) -> Path:
        """What labelled items say of thresholds."""
        return self.root / "calibration.json"

    @property
    def seeds(self) -> Path:
        """What became of the pages: how many are of each discipline, and why others are of none."""
        return self.root / "seeds.json"

    @property
    def report(self) -> Path:
        """The page about the job."""
        return self.root / "synthesis.html"

    def pages(self, source: str) -> SourceStore:
        """The pages of a source, and what is said of them."""
        return SourceStore(self.root / "pages" / source)
