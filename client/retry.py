"""The retry policy: exponential backoff with jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass

from client.error import AwayError, MillraceError, TooManyRequestsError, UnreachableError

_TRANSIENT = frozenset((429, 502, 503, 504))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The number of attempts, and the pauses between them: doubling from `first_s`, or as Retry-After demands.

    If the API demands a pause longer than `longest_s`, the error is raised at once.
    """

    attempts: int = 5
    first_s: float = 0.25
    longest_s: float = 30.0

    def pause_s(self, attempt: int, error: MillraceError) -> float:
        """Return the pause after a failed attempt, in seconds.

        Args:
            attempt: The number of the failed attempt; 1 is the first.
            error: Its error.

        Raises:
            MillraceError: the error itself, if it should not be retried.
        """
        passing = isinstance(error, AwayError | TooManyRequestsError) and error.status in _TRANSIENT
        if attempt >= self.attempts or not (passing or isinstance(error, UnreachableError)):
            raise error
        if error.retry_after_s is not None:
            if error.retry_after_s > self.longest_s:
                raise error
            return error.retry_after_s
        spread = 0.5 + random.random() / 2  # noqa: S311 - jitter, so that clients do not retry all at once
        return min(self.longest_s, self.first_s * 2.0 ** (attempt - 1)) * spread
