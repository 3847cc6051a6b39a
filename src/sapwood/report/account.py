"""The account of a run in tokens: what was planned, prepared, trained and is waiting."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sapwood.recipe.check import members, watched
from sapwood.report.facts import Facts

AIMS = {"gain": "to gain", "retention": "to keep", "": "not judged"}
"""What the recipe wants of a source, in words."""


@dataclass(frozen=True, slots=True)
class Line:
    """A domain in a stage: sequences planned against sequences trained."""

    domain: str
    planned: int
    trained: int

    @property
    def difference(self) -> int:
        """Sequences trained beyond the plan; below zero what is missing."""
        return self.trained - self.planned


@dataclass(frozen=True, slots=True)
class StageAccount:
    """A stage, domain by domain."""

    name: str
    begun: bool
    lines: tuple[Line, ...]

    @property
    def total(self) -> Line:
        """All domains together."""
        return Line("all", sum(line.planned for line in self.lines), sum(line.trained for line in self.lines))


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """A source's tokens. They balance: `prepared * passes_begun == trained + waiting`."""

    name: str
    watched: bool
    prepared: int | None
    """Tokens there are to train on; None while the source is not prepared."""
    trained: int
    """Tokens trained on, every pass counted."""

    @property
    def passes(self) -> float | None:
        """How often the source was gone through."""
        return self.trained / self.prepared if self.prepared else None

    @property
    def passes_begun(self) -> int | None:
        """Passes begun, the first even where no token of it was trained."""
        return max(1, -(-self.trained // self.prepared)) if self.prepared else None

    @property
    def waiting(self) -> int | None:
        """Tokens of the pass last begun that were not trained on."""
        if self.prepared is None or self.passes_begun is None:
            return None
        return self.prepared * self.passes_begun - self.trained


def stage_accounts(facts: Facts) -> list[StageAccount]:
    """Every stage of the plan against the ledger, as far as training has got."""
    trained: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in facts.ledger.rounds:
        reached = min(entry.stop, facts.position) - entry.start
        if reached > 0:
            for domain, sequences in entry.apportionment.counts(reached).items():
                trained[entry.stage][domain] += sequences
    stages = facts.plan["stages"] if facts.plan else []
    planned: dict[str, dict[str, int]] = {stage["name"]: stage["counts"] for stage in stages}
    accounts = []
    for name in dict.fromkeys([*planned, *trained]):
        there, done = planned.get(name, {}), trained.get(name, {})
        lines = tuple(
            Line(domain, there.get(domain, 0), done.get(domain, 0)) for domain in dict.fromkeys([*there, *done])
        )
        accounts.append(StageAccount(name, name in trained, lines))
    return accounts


def source_accounts(facts: Facts) -> list[SourceAccount]:
    """Every source of the recipe, in its order."""
    counts = facts.ledger.counts_until(facts.position)
    unused = watched(facts.recipe)
    return [
        SourceAccount(
            name=name,
            watched=name in unused,
            prepared=facts.tokens[name].counts.get("train_tokens") if name in facts.tokens else None,
            trained=counts.get(name, 0) * facts.recipe.sequence_length,
        )
        for name in facts.recipe.sources
    ]


def aims(facts: Facts) -> dict[str, str]:
    """What each source is judged as: `gain`, `retention`, or `""` for one that is trained on and not judged."""
    judged = {
        source: kind
        for kind, names in (
            ("gain", facts.recipe.evaluation.gain.domains),
            ("retention", facts.recipe.evaluation.retention.domains),
        )
        for name in names
        for source in members(facts.recipe, name)
    }
    return {source: judged.get(source, "") for source in facts.recipe.sources}
