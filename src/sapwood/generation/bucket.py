"""A token bucket: how a limit by the minute is kept, spread evenly over the minute."""

from __future__ import annotations


class Bucket:
    """Fills steadily, up to a second's worth; what is taken may leave a debt, which later takers wait out.

    So no minute sees more than the limit, a second's worth (one, if that is less) and one amount taken. Times are in
    seconds, on any clock.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self._rate = per_minute / 60
        self._most = max(1.0, self._rate)
        self._level = self._most
        self._at = now

    def wait(self, amount: float, now: float) -> float:
        """How long until so much may be taken, in seconds."""
        self._fill(now)
        return max(0.0, (min(amount, self._most) - self._level) / self._rate)

    def take(self, amount: float, now: float) -> None:
        """Takes it; a negative amount puts back what was taken and turned out not to be needed."""
        self._fill(now)
        self._level = min(self._most, self._level - amount)

    def _fill(self, now: float) -> None:
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
