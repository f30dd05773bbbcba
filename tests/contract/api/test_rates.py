"""Limits before a real Redis: processes count together there."""

import pytest

from infra.address import Addresses
from infra.redis.connection import connect
from infra.redis.rate_counter import rate_limit_storage
from tests.unit.api.security.test_rate_limit import RateLimiter, spent


async def test_processes_count_together_in_redis(stack: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.security.rate_limit._TIMEOUT_S", 30.0)  # a late answer on a busy machine is no outage
    client = connect(stack.redis_url.removesuffix("/0") + "/11")  # a database of its own, to be emptied
    await client.flushdb()
    one, other = (RateLimiter("user", "20/hour", rate_limit_storage(client)) for _ in range(2))
    assert await spent(one, "ann", 12) == 12
    assert await spent(other, "ann") == 9  # 8, and what it counts before it tells
    assert await spent(one, "bob", 5) == 5
    [key] = await client.keys("*ann*")
    assert 0 < await client.ttl(key) <= 3_600
    await client.aclose()
