"""The one error of a question that got no answer, and its reasons."""

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
"""Why there is no answer:

no_key        none is configured, or the provider does not accept it, or no more is to be spent there with it
over_budget   a budget of the day does not allow it
open_circuit  the provider failed several times in a row, or asked to wait, and is left alone for a while
rate_limited  429, after all retries
overloaded    529, after all retries
timeout       no answer in time, after all retries
server_error  5xx or no connection, after all retries
refused       the provider or the model will not answer this question
truncated     the answer ended at its token limit before anything of it could be used
malformed     nothing of the answer is what the question's type says
"""


PASSING: frozenset[Reason] = frozenset({"open_circuit", "rate_limited", "overloaded", "timeout", "server_error"})
"""Reasons that may be gone when the same is asked a little later."""


class LlmError(RuntimeError):
    """There is no answer, and `reason` says why."""

    def __init__(self, reason: Reason, detail: str, *, retry_after_s: float = 0.0) -> None:
        """`retry_after_s` is how long the provider asked to be left alone."""
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
        super().__init__(f"{reason}: {detail}")
