"""A circuit breaker: who fails again and again is left alone for a while, then tried with one call."""

from __future__ import annotations


class Breaker:
    """Opens after so many failures in a row. The time is passed in."""

    def __init__(self, *, failures: int, cooldown_s: float) -> None:
        self._most, self._cooldown_s = failures, cooldown_s
        self._failures = 0
        self._closed_at_s = 0.0

    @property
    def is_open(self) -> bool:
        """Say whether calls are held back."""
        return self._failures >= self._most

    def allows(self, now_s: float) -> bool:
        """Say whether a call may be made; while it is open, one per cooldown may, to see whether all is well again."""
        if not self.is_open:
            return True
        if now_s < self._closed_at_s:
            return False
        self._closed_at_s = now_s + self._cooldown_s
        return True

    def succeeded(self) -> None:
        """Close."""
        self._failures = 0

    def failed(self, now_s: float) -> None:
        """Count a failure; the last one opens."""
        self._failures += 1
        if self.is_open:
            self._closed_at_s = now_s + self._cooldown_s
