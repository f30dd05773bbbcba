"""Clients that take many connections, streams or requests: each has its share, whatever it calls itself."""

from __future__ import annotations

import asyncio

import pytest

from infra.settings import OFF
from tests.contract.connections.served_api import GET, HALF, HEALTH, POST, code, follow, serving, status, until_closed
from tests.unit.api.security.test_auth import STRICT, a_token


async def test_when_there_are_too_many_the_one_that_waits_longest_goes() -> None:
    async with serving(api_max_connections=20) as rig:
        idle, idle_writer = await rig.connect()
        idle_writer.write(GET)
        assert status(await idle.readuntil(b"\r\n\r\n")) == 200
        slow = []
        for begin in (HALF, POST + b"Content-Length: 100\r\n\r\n", b"") * 30:
            reader, writer = await rig.connect()
            writer.write(begin)
            slow.append((reader, writer))
            await asyncio.sleep(0)
        await rig.is_served()
        assert rig.connections <= 21
        await until_closed(idle)
        assert await until_closed(slow[0][0]) == b""
        await rig.is_served()


async def test_when_all_are_being_answered_a_new_one_is_refused() -> None:
    async with serving(api_max_connections=5, api_max_user_listeners=9) as rig:
        streams = [await follow(rig, "u1") for _ in range(5)]
        answer = await rig.ask(HEALTH)
        assert (status(answer), code(answer)) == (503, "too_many_connections")
        assert b"retry-after" in answer.lower()
        streams[0][1].close()
        await rig.has_connections(4)
        await rig.is_served()


async def test_one_user_does_not_take_the_streams_of_the_others() -> None:
    limits = {"rate_limit_user": OFF, "rate_limit_address": OFF}
    async with serving(**STRICT, **limits, api_max_listeners=20, api_max_user_listeners=3) as rig:
        ann, bob = a_token("ann"), a_token("u1")
        followers = [await follow(rig, "ann", ann) for _ in range(12)]
        other = await follow(rig, "u1", bob)
        assert [status(head) for _, _, head in followers] == [200] * 3 + [429] * 9
        assert status(other[2]) == 200
        for _, writer, _ in (*followers, other):
            writer.close()
        await rig.has_connections(0)
        again = await follow(rig, "ann", ann)  # a seat that was left is free
        assert status(again[2]) == 200


async def test_streams_that_are_asked_for_at_once_are_counted_too() -> None:
    async with serving(api_max_listeners=5, api_max_user_listeners=2) as rig:
        followers = await asyncio.gather(*(follow(rig, "ann") for _ in range(10)))
        statuses = sorted(status(head) for _, _, head in followers)
        assert statuses == [200] * 2 + [429] * 8


FORWARDED = [
    *("203.0.113.7:{n}", "203.0.113.7", "[2001:db8::1]:{n}", "2001:db8::{n}", "[2001:db8::{n}]", "2001:db8:0:0:{n}::1"),
    *(
        "made-up-{n}",
        "unknown-{n}",
        "_hidden{n}",
        "203.0.113.7:x{n}",
        "for=203.0.113.{n}",
        "300.1.1.{n}",
        "<{n}>",
        "é{n}",
    ),
    *("198.51.100.{n}, 203.0.113.7", "198.51.100.{n}, 203.0.113.7:{n}", "made-up-{n}, 203.0.113.7, 127.0.0.1", " ,{n}"),
]


@pytest.mark.parametrize("forwarded_for", FORWARDED)
async def test_a_client_is_limited_whatever_a_proxy_says_of_it(forwarded_for: str) -> None:
    """A proxy that is believed hands on another port, or another name, each time."""
    async with serving(**STRICT, rate_limit_address="5/minute") as rig:
        statuses = []
        for number in range(1, 13):
            request = forwarded_for.replace("{n}", str(number)).encode("latin-1")
            asks = b"GET /interaction/ann HTTP/1.1\r\nHost: api\r\nConnection: close\r\nX-Forwarded-For: %b\r\n\r\n"
            statuses.append(status(await rig.ask(asks % request)))
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
