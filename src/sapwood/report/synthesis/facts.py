"""What the synthesis report says, read from the job's files."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from sapwood.files import read_json
from sapwood.recipe import Synthesis
from sapwood.synthesis.account import read_records
from sapwood.synthesis.directory import JobDirectory
from sapwood.synthesis.estimate import asking, price
from sapwood.synthesis.labelled import Calibration

EXAMPLES = 3
"""Items that are shown of each format, and of each reason."""


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What one stage did."""

    name: str
    seen: int
    rejected: int
    prompt_tokens: int
    completion_tokens: int
    price: float | None
    """In the currency of its server; None where that states no price."""
    model: str | None
    """Who was asked."""


@dataclass(frozen=True, slots=True)
class SynthesisFacts:
    """A finished job."""

    job: Synthesis
    account: Mapping[str, Any]
    """As `Account.to_json` gives it."""
    stages: list[StageFacts]
    calibration: Calibration | None
    accepted: Mapping[str, list[dict[str, Any]]]
    """Some items by format."""
    rejected: Mapping[str, Mapping[str, list[dict[str, Any]]]]
    """Some items by stage and reason."""

    @property
    def cost(self) -> dict[str, float]:
        """What all stages took, by currency."""
        servers = asking(self.job)
        found: dict[str, float] = defaultdict(float)
        for stage in self.stages:
            if stage.price is not None:
                currency = servers[stage.name][0].price
                found[currency.currency if currency else ""] += stage.price
        return dict(found)


def read_synthesis_facts(job: Synthesis, where: JobDirectory) -> SynthesisFacts:
    """Reads what a finished job left in its directory."""
    account = read_json(where.account, where.remedy)
    servers = asking(job)
    stages = []
    for name, counts in account["stages"].items():
        server = servers[name][0] if name in servers else None
        tokens = counts["prompt_tokens"], counts["completion_tokens"]
        cost = None if server is None else price(server, *tokens)
        stages.append(
            StageFacts(
                name, counts["seen"], counts["rejected"], *tokens, cost, None if server is None else server.model
            )
        )
    rejected: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
    for (stage, reason), found in _sample(
        where.rejected, where.remedy, lambda record: (record["stage"], record["reason"])
    ).items():
        rejected[stage][reason] = found
    return SynthesisFacts(
        job=job,
        account=account,
        stages=stages,
        calibration=Calibration.read(where.calibration),
        accepted=_sample(where.accepted, where.remedy, lambda record: record["format"]),
        rejected=rejected,
    )


def _sample(path: Path, remedy: str, group: Callable[[dict[str, Any]], Any]) -> dict[Any, list[dict[str, Any]]]:
    """Some records of every group: as good as random, and the same every time."""
    chosen: dict[Any, list[tuple[int, int, dict[str, Any]]]] = defaultdict(list)
    for number, record in enumerate(read_records(path, remedy)):
        heap = chosen[group(record)]
        place = -xxhash.xxh3_64_intdigest(f"example\0{record['attempt']}".encode())
        if len(heap) < EXAMPLES:
            heapq.heappush(heap, (place, number, record))
        elif place > heap[0][0]:
            heapq.heapreplace(heap, (place, number, record))
    return {key: [record for _, _, record in sorted(heap)] for key, heap in chosen.items()}
