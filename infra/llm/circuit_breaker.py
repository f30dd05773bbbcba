"""Circuit breaker: after repeated failures calls stop for a cooldown, then a single call probes the provider."""

from __future__ import annotations

_LONGEST_S = 3_600.0
"""Longest pause that a provider may request."""


class CircuitBreaker:
    """Opens after a number of consecutive failures. Callers pass the time in."""

    def __init__(self, *, failures: int, cooldown_s: float) -> None:
        self._most, self._cooldown_s = failures, cooldown_s
        self._failures = 0
        self._closed_at_s = self._asked_until_s = 0.0

    def is_open(self, now_s: float) -> bool:
        """Say whether the circuit is open, so that calls are blocked."""
        return self._has_failed or now_s < self._asked_until_s

    @property
    def _has_failed(self) -> bool:
        return self._failures >= self._most

    def allows(self, now_s: float) -> bool:
        """Say whether a call is allowed; while the circuit is open, one call per cooldown is, as a probe."""
        if now_s < self._asked_until_s or (self._has_failed and now_s < self._closed_at_s):
            return False
        if self._has_failed:
            self._closed_at_s = now_s + self._cooldown_s
        return True

    def record_success(self) -> None:
        """Close the circuit; a pause requested by the provider still applies."""
        self._failures = 0

    def record_failure(self, now_s: float, *, retry_after_s: float = 0.0) -> None:
        """Count a failure; the circuit opens at the limit, or when the provider requests a pause."""
        self._failures += 1
        if retry_after_s > 0:
            self._asked_until_s = now_s + min(retry_after_s, _LONGEST_S)
        if self._has_failed:
            self._closed_at_s = now_s + self._cooldown_s
