"""The error of a question without an answer, and its reasons."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "no_key",
    "over_budget",
    "open_circuit",
    "rate_limited",
    "overloaded",
    "timeout",
    "server_error",
    "refused",
    "truncated",
    "malformed",
]
"""Reasons for a missing answer:

no_key        no key is configured, the provider rejects it, or its spend limit is reached
over_budget   a daily budget is exhausted
open_circuit  the provider failed several times in a row, or requested a pause, and calls are blocked for a while
rate_limited  429, after all retries
overloaded    529, after all retries
timeout       no answer in time, after all retries
server_error  5xx or no connection, after all retries
refused       the provider or the model refuses this question
truncated     the answer reached its token limit before any part of it was usable
malformed     no part of the answer fits the question's answer type
"""


TRANSIENT: frozenset[Reason] = frozenset({"open_circuit", "rate_limited", "overloaded", "timeout", "server_error"})
"""Temporary reasons: the same question may be answered a little later."""


class LlmError(RuntimeError):
    """There is no answer; `reason` says why."""

    def __init__(self, reason: Reason, detail: str, *, retry_after_s: float = 0.0) -> None:
        """Create an error; `retry_after_s` is the pause that the provider requested, in seconds."""
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
        super().__init__(f"{reason}: {detail}")
