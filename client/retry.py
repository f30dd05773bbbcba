"""When to try again, and how long to wait until then."""

from __future__ import annotations

import random
from dataclasses import dataclass

from client.error import AwayError, MillraceError, TooManyRequestsError, UnreachableError

_TRANSIENT = frozenset((429, 502, 503, 504))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often something is tried, and how pauses grow: doubling from `first_s`, or as long as the API asks for.

    Who is asked to wait longer than `longest_s` gets the error at once, and may come again by themselves.
    """

    attempts: int = 5
    first_s: float = 0.25
    longest_s: float = 30.0

    def pause_s(self, attempt: int, error: MillraceError) -> float:
        """Return how long to wait after an attempt (1 is the first) that failed.

        Raises:
            MillraceError: the error itself, when it is not worth trying again.
        """
        passing = isinstance(error, AwayError | TooManyRequestsError) and error.status in _TRANSIENT
        if attempt >= self.attempts or not (passing or isinstance(error, UnreachableError)):
            raise error
        if error.retry_after_s is not None:
            if error.retry_after_s > self.longest_s:
                raise error
            return error.retry_after_s
        spread = 0.5 + random.random() / 2  # noqa: S311 - so that clients do not come again all at once
        return min(self.longest_s, self.first_s * 2.0 ** (attempt - 1)) * spread
