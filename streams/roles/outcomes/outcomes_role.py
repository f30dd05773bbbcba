"""Outcomes role: impressions, interactions → outcomes, and click rates in Redis.

streams/roles/outcomes/outcome_consumer.py    reads, publishes, commits
streams/core/outcome/outcome_join.py          joins impressions with the actions that follow
streams/roles/outcomes/provenance_lookup.py   finds the feeds that were shown, in the archive
"""

from __future__ import annotations

import asyncio

from infra.postgres.pool import CONNECTION_ERRORS, open_pool
from infra.postgres.shown_feeds import ShownFeeds
from infra.redis.metrics.click_rate_store import RedisClickRateStore
from infra.settings import Settings
from streams.roles.outcomes.outcome_consumer import OutcomeConsumer
from streams.roles.outcomes.provenance_lookup import ProvenanceLookup
from streams.runtime.retry import retry_until_available
from streams.runtime.role import open_role
from streams.runtime.user_eraser import RedisUserEraser


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("outcomes", settings) as role:
        pool = await retry_until_available(
            lambda: open_pool(settings.database_url, connections=2),
            "outcomes wait for PostgreSQL",
            outages=CONNECTION_ERRORS,
        )
        try:
            lookup, rates = ProvenanceLookup(ShownFeeds(pool)), RedisClickRateStore(role.redis)
            consumer = OutcomeConsumer(role, lookup, rates, RedisUserEraser(role.redis, role.name))
            await role.run(stop, consumer.run(), describe=consumer.describe)
        finally:
            pool.terminate()
