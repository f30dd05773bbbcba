"""Which failures are retried, and after which pauses."""

import httpx2
import pytest

from millrace_client import Retry, TooManyRequestsError
from millrace_client.error import response_error


@pytest.mark.parametrize(
    ("retry_after", "pause_s"), [("3", 3.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
def test_pauses_are_those_asked_for_or_grow(retry_after: str, pause_s: float | None) -> None:
    error = response_error(httpx2.Response(503, headers={"retry-after": retry_after}))
    pauses = [Retry(initial_pause_s=1.0, max_pause_s=3.0).pause_s(attempt, error) for attempt in (1, 2, 3, 4)]
    if pause_s is not None:
        assert pauses == [pause_s] * 4
    assert all(low / 2 <= pause <= 3.0 for low, pause in zip((1, 2, 3, 3), pauses, strict=True))


def test_who_shall_wait_too_long_is_told_at_once() -> None:
    error = response_error(
        httpx2.Response(429, headers={"retry-after": "60"}, json={"error": {"code": "too_many_requests"}})
    )
    with pytest.raises(TooManyRequestsError, match="too_many_requests") as refusal:
        Retry().pause_s(1, error)
    assert refusal.value.retry_after_s == 60.0
