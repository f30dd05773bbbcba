"""Limits: what is refused, to whom, for how long, and what becomes of them without their counters."""

from collections.abc import Iterator
from typing import Any

import pytest
from limits.aio.storage import MemoryStorage, Storage

from api.http.error import TooManyRequestsError
from api.security.rate_limit import RateLimiter, network
from infra.redis.connection import connect
from infra.redis.rate_counter import rate_limit_storage
from infra.settings import OFF
from tests.unit.api.builder import World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer


async def spent(pace: RateLimiter, name: str, most: int = 10_000) -> int:
    """Return how many requests were let through."""
    for count in range(most):
        try:
            await pace.acquire(name)
        except TooManyRequestsError:
            return count
    return most


async def test_each_user_is_let_through_as_often_as_allowed() -> None:
    async with World().http(**STRICT, rate_limit_user="5/minute", rate_limit_address=OFF) as http:
        statuses: list[int] = []
        for _ in range(7):
            answer = await http.get("/interaction/ann", headers=bearer(a_token()))
            statuses.append(answer.status_code)
        other = await http.get("/interaction/bob", headers=bearer(a_token("bob")))
        service = [
            (await http.get("/interaction/ann", headers=bearer(a_token("app", scope="service")))).status_code
            for _ in range(7)
        ]
    assert statuses == [200] * 5 + [429] * 2
    assert answer.json()["error"]["code"] == "too_many_requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert other.status_code == 200
    assert service == [200] * 7


async def test_an_address_that_tries_tokens_is_held_off() -> None:
    async with World().http(**STRICT, rate_limit_address="3/minute") as http:
        statuses = [(await http.get("/content?user_id=a", headers=bearer(f"{n}"))).status_code for n in range(5)]
    assert statuses == [401] * 3 + [429] * 2


async def test_what_is_open_to_everyone_is_limited_by_address_where_it_does_something() -> None:
    async with World().http(**STRICT, rate_limit_address="2/minute") as http:
        statuses = [(await http.post("/api/v1/collect/all-users")).status_code for _ in range(4)]
        health = {(await http.get("/health")).status_code for _ in range(4)}
    assert statuses == [401, 401, 429, 429]
    assert health == {200}


async def test_nobody_is_limited_in_development() -> None:
    async with World().http(rate_limit_user="1/minute", rate_limit_address="1/minute") as http:
        statuses = {(await http.get("/interaction/ann")).status_code for _ in range(5)}
        health = (await http.get("/health")).json()
    assert (statuses, health["rate_limits"]) == ({200}, "off")


class Counting(MemoryStorage):
    """Counts how often it is asked."""

    request_count = 0

    async def incr(self, *args: Any, **kwargs: Any) -> int:
        self.request_count += 1
        return await super().incr(*args, **kwargs)


async def test_the_counters_are_updated_with_batches_of_requests() -> None:
    storage = Counting()
    assert await spent(RateLimiter("user", "600/minute", storage), "ann") == 659
    assert storage.request_count == 11


async def test_processes_count_together() -> None:
    storage = MemoryStorage()
    one, other = (RateLimiter("user", "10/minute", storage) for _ in range(2))
    assert await spent(one, "ann", 6) == 6
    assert await spent(other, "ann") == 4
    assert await spent(one, "ann") == 0


async def test_who_was_refused_is_let_through_again_when_it_is_time() -> None:
    times = iter([0.0] * 4 + [1e10] * 4)
    pace = RateLimiter("user", "1/minute", MemoryStorage(), clock_s=lambda: next(times, 1e10))
    assert await spent(pace, "ann") == 1
    pace = RateLimiter("user", OFF, MemoryStorage())
    assert await spent(pace, "ann", 100) == 100


@pytest.fixture
def nowhere() -> Iterator[Storage]:
    """Counters in a Redis that is not there."""
    return rate_limit_storage(connect("redis://127.0.0.1:1/0", timeout_s=0.2))


async def test_everyone_is_let_through_while_counters_are_away_and_it_is_said(nowhere: Storage) -> None:
    async with World(clients={"rate_limit_storage": nowhere}).http(**STRICT, rate_limit_user="1/minute") as http:
        before = (await http.get("/health")).json()["rate_limits"]
        statuses = {(await http.get("/interaction/ann", headers=bearer(a_token()))).status_code for _ in range(5)}
        after = (await http.get("/health")).json()["rate_limits"]
        metrics = (await http.get("/metrics")).text
    assert (before, statuses, after) == ("on", {200}, "blind")
    assert "millrace_rate_limits_blind 1.0" in metrics


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::ffff:a01:203", "10.1.2.3"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        *((name, "") for name in ("", "testclient", "unknown", "_hidden", "10.1.2", "10.1.2.3.4", "256.1.1.1")),
        *(
            (name, "")
            for name in ("010.1.2.3", "10.1.2.3:x", "[2001:db8::1", "a" * 9_000, "10.1.2.3, 1", "::g", "١.١.١.١")
        ),
    ],
)
def test_a_client_is_known_by_what_it_holds_of_addresses(host: str, name: str) -> None:
    assert network(host) == name
