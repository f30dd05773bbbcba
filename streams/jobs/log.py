"""interactions → the log of each user's last day, in Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import ConsumerRecord

from infra import heartbeat
from infra.interaction_log import InteractionLog, RedisInteractionLog
from infra.redis_client import StoreError, connect
from infra.registry import Registry
from infra.settings import Settings
from streams.decode import Decoder
from streams.jobs.sink import drain
from topics.topic import INTERACTIONS

GROUP = "millrace-log"
_RETRY_S = 0.5
_LOG = logging.getLogger(__name__)


class Logging:
    """Writes batches, and counts."""

    def __init__(self, store: InteractionLog, registry: Registry) -> None:
        self._store = store
        # What is unusable is passed over: the user agent sets it aside.
        self._decoder = Decoder(INTERACTIONS, registry, None, stage="log")
        self.written = 0

    async def write(self, _topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Write a batch; waits for as long as Redis is away."""
        events = [event for _, event in await self._decoder.decode(records)]
        while True:
            try:
                await self._store.write(events)
                break
            except StoreError as error:
                _LOG.warning("interactions wait for the store: %s", error)
                await asyncio.sleep(_RETRY_S)
        self.written += len(events)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the log until `stop` is set."""
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    redis = connect(settings.redis_url)
    logging_ = Logging(RedisInteractionLog(redis), registry)
    sign = heartbeat.beat(redis, "log", lambda: {"written": logging_.written})
    try:
        await drain(settings.kafka_bootstrap_servers, GROUP, [INTERACTIONS], logging_.write, stop=stop, beside=[sign])
    finally:
        await redis.aclose()
        registry.close()
