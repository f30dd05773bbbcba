"""A circuit breaker: a provider that fails again and again is left alone for a while, then tried with one call."""

from __future__ import annotations

_LONGEST_S = 3_600.0
"""Longest pause that a provider may ask for."""


class CircuitBreaker:
    """Opens after so many failures in a row. The time is passed in."""

    def __init__(self, *, failures: int, cooldown_s: float) -> None:
        self._most, self._cooldown_s = failures, cooldown_s
        self._failures = 0
        self._closed_at_s = self._asked_until_s = 0.0

    def is_open(self, now_s: float) -> bool:
        """Say whether calls are held back."""
        return self._has_failed or now_s < self._asked_until_s

    @property
    def _has_failed(self) -> bool:
        return self._failures >= self._most

    def allows(self, now_s: float) -> bool:
        """Say whether a call may be made; while it is open, one per cooldown may, to see whether all is well again."""
        if now_s < self._asked_until_s or (self._has_failed and now_s < self._closed_at_s):
            return False
        if self._has_failed:
            self._closed_at_s = now_s + self._cooldown_s
        return True

    def succeeded(self) -> None:
        """Close; a pause that the provider asked for holds all the same."""
        self._failures = 0

    def failed(self, now_s: float, *, retry_after_s: float = 0.0) -> None:
        """Count a failure; the last one opens, and so does the wish of the provider to be asked again later."""
        self._failures += 1
        if retry_after_s > 0:
            self._asked_until_s = now_s + min(retry_after_s, _LONGEST_S)
        if self._has_failed:
            self._closed_at_s = now_s + self._cooldown_s
