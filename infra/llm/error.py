"""The one error of a question that got no answer, and its reasons."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "no_key", "over_budget", "open_circuit", "rate_limited", "timeout", "server_error", "refused", "malformed"
]
"""Why there is no answer:

no_key        none is configured, or the provider does not accept it
over_budget   a budget of the day does not allow it
open_circuit  the provider has failed several times in a row and is left alone for a while
rate_limited  429, after all retries
timeout       no answer in time, after all retries
server_error  5xx or no connection, after all retries
refused       the provider or the model will not answer this question
malformed     the answer is not what the question's type says
"""


PASSING: frozenset[Reason] = frozenset({"open_circuit", "rate_limited", "timeout", "server_error"})
"""Reasons that may be gone when the same is asked a little later."""


class LlmError(RuntimeError):
    """There is no answer, and `reason` says why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason: Reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")
