"""Served APIs, with the usual timeouts and with short ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.connections.served_api import QUICK, Rig, serving


@pytest.fixture
async def quick() -> AsyncIterator[Rig]:
    async with serving(**QUICK) as rig:
        yield rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serving() as rig:
        yield rig
