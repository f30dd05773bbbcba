"""The retry policy: exponential backoff with jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass

from millrace_client.error import ApiConnectionError, MillraceError

_TRANSIENT = frozenset((429, 502, 503, 504))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The number of attempts, and the pauses between them: doubling, or as Retry-After demands.

    If the API demands a pause longer than `max_pause_s`, the error is raised at once.

    Attributes:
        max_attempts: Maximum number of attempts; 1 means no retries.
        initial_pause_s: The pause after the first attempt, in seconds.
        max_pause_s: The longest pause, in seconds.
    """

    max_attempts: int = 5
    initial_pause_s: float = 0.25
    max_pause_s: float = 30.0

    def pause_s(self, attempt: int, error: MillraceError) -> float:
        """Return the pause after a failed attempt, in seconds.

        Args:
            attempt: The number of the failed attempt; 1 is the first.
            error: Its error.

        Raises:
            MillraceError: the error itself, if it should not be retried.
        """
        is_transient = isinstance(error, ApiConnectionError) or error.status_code in _TRANSIENT
        if attempt >= self.max_attempts or not is_transient:
            raise error
        if error.retry_after_s is not None:
            if error.retry_after_s > self.max_pause_s:
                raise error
            return error.retry_after_s
        jitter = 0.5 + random.random() / 2  # noqa: S311 - so that clients do not retry all at once
        return min(self.max_pause_s, self.initial_pause_s * 2.0 ** (attempt - 1)) * jitter
