"""What was measured of a domain between two rounds, as the ledger keeps it and controllers read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sapwood.statistics.change import BITS_PER_BYTE
from sapwood.statistics.estimate import Estimate

MEASURED_DOCUMENTS = 2
"""Of fewer there is no standard error, so that no change can be told from noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How well the model predicts held-out documents of a domain."""

    bits_per_byte: float
    standard_error: float
    """Of `bits_per_byte`, over documents; infinite where it cannot be estimated."""
    nats_per_token: float
    """The mean negative log-likelihood; the logarithm of the perplexity."""
    since_last: Estimate | None = None
    """The improvement since the last measurement, above zero where there are fewer bits per byte; None at the first.
    The standard error is that of the paired difference, and infinite where it cannot be estimated (fewer than two
    documents)."""
    since_base: Estimate | None = None
    """The improvement since the base model; None where that was not measured on the same documents."""

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(self.nats_per_token)

    def to_json(self) -> dict[str, Any]:
        """As the ledger writes it: of a change the difference after - before. JSON has no infinity, so that is null."""
        levels = {name: _finite(getattr(self, name)) for name in ("bits_per_byte", "standard_error", "nats_per_token")}
        changes = {
            name: {"value": BITS_PER_BYTE.turned(found.value), "standard_error": _finite(found.standard_error)}
            for name, found in (("since_last", self.since_last), ("since_base", self.since_base))
            if found is not None
        }
        return {**levels, **changes}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Measured:
        """Reads what `to_json` wrote."""
        changes = {
            name: improvement(BITS_PER_BYTE.turned(record[name]["value"]), _or_infinite(record[name]["standard_error"]))
            for name in ("since_last", "since_base")
            if record.get(name)
        }
        return Measured(
            bits_per_byte=record["bits_per_byte"],
            standard_error=_or_infinite(record["standard_error"]),
            nats_per_token=record["nats_per_token"],
            **changes,
        )


def improvement(value: float, standard_error: float) -> Estimate:
    """An improvement of which no more is known than the ledger keeps: its error, as of a normal distribution."""
    return Estimate(value, standard_error, math.inf)


def is_judged(found: Estimate | Measured | None, errors: float) -> bool:
    """Whether a controller can tell a change from noise of so many standard errors: of one held-out document alone,
    which has no standard error, it never could."""
    return found is not None and (not errors or math.isfinite(found.standard_error))


Losses = Mapping[str, Measured]
"""What was measured, by domain and, beside them, by source."""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else value
