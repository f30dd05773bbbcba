"""Secure aggregation through two served APIs that share a Redis: the exact sum, whoever drops out when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from infra.address import Addresses
from infra.fakes.serve import serve_app
from infra.privacy.aggregation_store import RedisAggregationStore
from infra.redis.connection import connect
from millrace_client import AsyncMillrace, Millrace
from millrace_client.secure_aggregation import MAX_VALUE, AggregationError
from tests.unit.api.builder import NOW_MS, World
from tests.waiting import until

ROUND_S = 60
WITHIN_S = 120.0


class DroppedOutError(Exception):
    """The client is gone."""


class DroppingOut(httpx2.AsyncBaseTransport):
    """Loses a client at the moment in which it would send one of its messages."""

    def __init__(self, before: str) -> None:
        self._before, self._transport = before, httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST" and request.url.path.endswith(f"/{self._before}"):
            raise DroppedOutError
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


class Rounds:
    """Two served APIs whose clock stands still until a round is to end, and a service that begins aggregations."""

    def __init__(self, urls: Sequence[str], times: list[int], http: httpx2.AsyncClient) -> None:
        self.urls, self._times, self._http = urls, times, http
        self.aggregation_id = ""

    async def begin(self, **terms: int) -> None:
        response = await self._http.post("/aggregations", json={"round_s": ROUND_S, **terms})
        self.aggregation_id = response.json()["aggregation_id"]

    async def get(self, name: str = "", *, place: int = 0) -> httpx2.Response:
        """Ask one of the APIs."""
        return await self._http.get(f"{self.urls[place]}/aggregations/{self.aggregation_id}{name}")

    async def have(self, state: str, clients: int) -> None:
        """Wait until a round has so many messages."""

        async def have_come() -> bool:
            body = (await self.get()).json()
            return (body["state"], body["clients"]) == (state, clients)

        await until(have_come, timeout_s=WITHIN_S, look_every_s=0.05, what=f"{clients} {state}")

    def end_round(self) -> None:
        self._times.append(self._times[-1] + 1_000 * ROUND_S)


@pytest.fixture
async def rounds(stack: Addresses, redis: Redis) -> AsyncIterator[Rounds]:
    times = [NOW_MS]
    async with AsyncExitStack() as exits:
        urls = []
        for _ in range(2):
            client = connect(stack.redis_url.removesuffix("/0") + "/15")
            exits.push_async_callback(client.aclose)
            clients = {"aggregations": RedisAggregationStore(client), "now_ms": lambda: times[-1]}
            urls.append(await exits.enter_async_context(serve_app(World(clients=clients).app())))
        http = await exits.enter_async_context(httpx2.AsyncClient(base_url=urls[0], timeout=WITHIN_S))
        yield Rounds(urls, times, http)


async def contribute(url: str, *args: Any, before: str = "", **options: Any) -> None:
    transport = DroppingOut(before) if before else None
    async with AsyncMillrace(url, transport=transport, timeout_s=WITHIN_S) as millrace:
        with suppress(DroppedOutError):
            await millrace.contribute(*args, poll_s=0.5, **options)


async def test_the_sum_of_a_hundred_clients_over_http_is_exact_though_thirty_drop_out(
    rounds: Rounds, redis: Redis
) -> None:
    source, count, length, threshold = random.Random(7), 100, 20, 67
    names = [f"user {number}/ü" for number in range(count)]
    source.shuffle(names)
    values = {name: [source.randint(0, MAX_VALUE) for _ in range(length)] for name in names}
    losses = dict.fromkeys(names[:10], "shares") | dict.fromkeys(names[10:20], "values")
    losses |= dict.fromkeys(names[20:30], "reveals")
    await rounds.begin(counters=length, threshold=threshold, max_clients=count)
    async with asyncio.TaskGroup() as tasks:
        for number, name in enumerate(names):
            url, before = rounds.urls[number % 2], losses.get(name, "")
            tasks.create_task(
                contribute(url, rounds.aggregation_id, name, values[name], before=before, threshold=threshold)
            )
        await rounds.have("shares", 90)
        rounds.end_round()
        await rounds.have("values", 80)
        rounds.end_round()
        await rounds.have("reveals", 70)
        rounds.end_round()
    responses = await asyncio.gather(*(rounds.get("/sum", place=place) for place in (0, 1, 0, 1)))
    expected = [sum(column) for column in zip(*(values[name] for name in names[20:]), strict=True)]
    assert [response.json() for response in responses] == [{"sum": expected, "clients": 80}] * 4
    assert await redis.keys("*") == [f"aggregation:terms:{rounds.aggregation_id}".encode()]


async def test_the_synchronous_client_takes_part_as_well(rounds: Rounds) -> None:
    await rounds.begin(counters=1, threshold=2)

    def take_part(number: int) -> None:
        with Millrace(rounds.urls[number % 2]) as millrace:
            millrace.contribute(rounds.aggregation_id, f"u{number}", [number + 1], threshold=2, poll_s=0.01)

    await asyncio.gather(*(asyncio.to_thread(take_part, number) for number in range(3)))
    assert (await rounds.get("/sum")).json() == {"sum": [6], "clients": 3}


async def test_with_too_few_clients_there_is_no_sum_and_those_left_are_told(rounds: Rounds) -> None:
    await rounds.begin(counters=1, threshold=2)
    losses = ["", "values", "values"]
    calls = [
        contribute(rounds.urls[number % 2], rounds.aggregation_id, f"u{number}", [1], before=before, threshold=2)
        for number, before in enumerate(losses)
    ]
    survivor, *others = [asyncio.ensure_future(call) for call in calls]
    await asyncio.gather(*others)
    await rounds.have("values", 1)
    rounds.end_round()
    with pytest.raises(AggregationError, match="failed"):
        await survivor
    assert (await rounds.get("/sum")).json()["error"]["code"] == "aggregation_failed"


async def test_a_client_refuses_terms_that_its_app_does_not_know(rounds: Rounds) -> None:
    await rounds.begin(counters=1, threshold=2)
    for values, threshold in (([1, 2], 2), ([1], 3)):
        with pytest.raises(AggregationError, match="terms"):
            await contribute(rounds.urls[0], rounds.aggregation_id, "u1", values, threshold=threshold)
    await rounds.have("keys", 0)
