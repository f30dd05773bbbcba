"""A process that releases the statistics of items as of a time, `RELEASE_AT_MS`, and ends."""

from __future__ import annotations

import asyncio
import os

from infra.address import resolve_addresses
from infra.settings import read_settings
from streams.roles.trainer.statistics_releaser import StatisticsReleaser
from streams.runtime.core_params import private_stats_params
from streams.runtime.role import open_role


async def main() -> None:
    settings = resolve_addresses(read_settings())
    params = private_stats_params(settings)
    assert params is not None
    async with open_role("trainer", settings) as role:
        await StatisticsReleaser(role, params).release(int(os.environ["RELEASE_AT_MS"]))


if __name__ == "__main__":
    asyncio.run(main())
