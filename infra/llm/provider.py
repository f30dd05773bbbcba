"""SDK clients of Claude: direct, or through Amazon Bedrock."""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, DefaultAioHttpClient

from infra.llm.key import has_key
from infra.settings import Settings

_DIRECT = "https://api.anthropic.com"
RATE_LIMITED, OVERLOADED = 429, 529
_PAUSING = frozenset({RATE_LIMITED, 503, OVERLOADED})
_UNPAID = 402
_SPENT = "enforced_spend_limit_reached"
"""Error code of a 429 for which no pause helps."""
Provider = AsyncAnthropic | AsyncAnthropicBedrock


@dataclass(slots=True)
class RequestState:
    """State of the HTTP requests for one question."""

    until_s: float = math.inf
    """Deadline of all attempts, by the event loop's clock in seconds."""
    attempts: int = 0
    status: int = 0
    """HTTP status of the last attempt; 0 without a response."""


class RetryTooLateError(RuntimeError):
    """The provider requests a pause beyond this question's deadline, or no further attempts at all."""

    def __init__(self, status: int, retry_after_s: float, detail: str) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        super().__init__(detail)


REQUEST_STATE: ContextVar[RequestState] = ContextVar("sent")
"""State of the current task's question."""


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the pause in seconds that a response requests, 0 if it requests none."""
    header = headers.get("retry-after", "")
    with suppress(ValueError):
        return max(0.0, float(header)) if math.isfinite(float(header)) else 0.0
    date = email.utils.parsedate_tz(header)
    return 0.0 if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


async def _attempt(request: Any, call_next: Any) -> Any:
    """Count an attempt, as a middleware that the SDK runs for each; end retries that cannot succeed.

    Raises:
        RetryTooLateError: another attempt before the deadline cannot succeed.
    """
    request_state = REQUEST_STATE.get()
    request_state.attempts, request_state.status = request_state.attempts + 1, 0
    response = await call_next(request)
    request_state.status = response.status_code
    pause_s = retry_after_s(response.headers)
    if response.status_code in _PAUSING and asyncio.get_running_loop().time() + pause_s > request_state.until_s:
        raise RetryTooLateError(response.status_code, pause_s, f"it asks for a pause of {pause_s:g} s")
    if response.status_code == RATE_LIMITED and not pause_s and _SPENT in (detail := await response.text()):
        raise RetryTooLateError(_UNPAID, 0.0, detail)
    return response


def provider(settings: Settings) -> Provider | None:
    """Return the SDK's client, None without a key. It connects at the first call."""
    if not has_key(settings):
        return None
    limits: dict[str, Any] = {
        "timeout": settings.llm_timeout_s,
        "max_retries": settings.llm_max_retries,
        "middleware": [_attempt],
        "http_client": DefaultAioHttpClient(),  # takes less than half of httpx's time for hundreds of calls
    }
    if settings.llm_provider == "bedrock":
        return AsyncAnthropicBedrock(
            aws_access_key=settings.aws_access_key_id,
            aws_secret_key=settings.aws_secret_access_key,
            aws_region=settings.aws_region,
            base_url=settings.llm_base_url or None,
            **limits,
        )
    return AsyncAnthropic(
        api_key=settings.anthropic_api_key,
        base_url=settings.llm_base_url or _DIRECT,
        **limits,
    )
