"""Claude through its SDK: direct, or on Amazon Bedrock."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, DefaultAioHttpClient

from infra.llm.key import has_key
from infra.settings import Settings

_DIRECT = "https://api.anthropic.com"
Provider = AsyncAnthropic | AsyncAnthropicBedrock


@dataclass(slots=True)
class Sent:
    """What went over the wire for one question."""

    attempts: int = 0
    status: int = 0
    """HTTP status of the last attempt; 0 when it had no answer."""


SENT: ContextVar[Sent] = ContextVar("sent")
"""Of the question that this task asks."""


async def _count(request: Any, call_next: Any) -> Any:
    """Count attempts: the SDK runs this once for each."""
    sent = SENT.get()
    sent.attempts, sent.status = sent.attempts + 1, 0
    response = await call_next(request)
    sent.status = response.status_code
    return response


def provider(settings: Settings) -> Provider | None:
    """Return the SDK's client; None without a key. It connects when it is first used."""
    if not has_key(settings):
        return None
    limits: dict[str, Any] = {
        "timeout": settings.llm_timeout_s,
        "max_retries": settings.llm_max_retries,
        "middleware": [_count],
        "http_client": DefaultAioHttpClient(),  # with hundreds under way it takes less than half of httpx's time
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
