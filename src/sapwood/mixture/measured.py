"""What was measured of a domain between two rounds, as the ledger keeps it and controllers read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MEASURED_DOCUMENTS = 2
"""Of fewer there is no standard error, so that no change can be told from noise."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of bits per byte on the same held-out documents; below zero is better."""

    value: float
    standard_error: float
    """Of the paired difference; infinite where it cannot be estimated (fewer than two documents)."""

    def beyond(self, errors: float) -> bool:
        """Whether it is larger than so many of its standard errors; with 0 of them, whether there is any change."""
        return abs(self.value) > (errors * self.standard_error if errors else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How well the model predicts held-out documents of a domain."""

    bits_per_byte: float
    standard_error: float
    """Of `bits_per_byte`, over documents; infinite where it cannot be estimated."""
    nats_per_token: float
    """The mean negative log-likelihood; the logarithm of the perplexity."""
    since_last: Change | None = None
    """The change since the last measurement; None at the first."""
    since_base: Change | None = None
    """The change since the base model; None where that was not measured on the same documents."""

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(self.nats_per_token)

    def to_json(self) -> dict[str, Any]:
        """As the ledger writes it; JSON has no infinity, so that is null."""
        return {name: _finite(value) for name, value in asdict(self).items() if value is not None}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Measured:
        """Reads what `to_json` wrote."""
        changes = {
            name: Change(record[name]["value"], _or_infinite(record[name]["standard_error"]))
            for name in ("since_last", "since_base")
            if record.get(name)
        }
        return Measured(
            bits_per_byte=record["bits_per_byte"],
            standard_error=_or_infinite(record["standard_error"]),
            nats_per_token=record["nats_per_token"],
            **changes,
        )


def is_judged(found: Change | Measured | None, errors: float) -> bool:
    """Whether a controller can tell a change from noise of so many standard errors: of one held-out document alone,
    which has no standard error, it never could."""
    return found is not None and (not errors or math.isfinite(found.standard_error))


Losses = Mapping[str, Measured]
"""What was measured, by domain and, beside them, by source."""


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return value if math.isfinite(value) else None


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else value
