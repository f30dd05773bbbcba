"""Probes of real servers: one connection for as long as they are asked, and another one after an outage."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import pytest

from infra.address import Addresses
from infra.health import health_check
from tests.pipeline.relay import Relay

DEADLINE_S = 20.0


class CountingRelay(Relay):
    """A relay that counts the connections it was asked for."""

    connections = 0

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await super()._connect(reader, writer)


async def test_a_database_is_asked_often_over_one_connection(stack: Addresses) -> None:
    async with CountingRelay(stack.database_url) as relay, aclosing(health_check.database(relay.url)) as ask:
        for _ in range(50):
            await ask()
        assert relay.connections <= 2  # the driver may ask first whether TLS is spoken
        await relay.cut()
        with pytest.raises(Exception, match=r"\w"):  # every client has its own
            await ask()
        await relay.mend()
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with suppress(OSError, TimeoutError):
                    await ask()
                    break
