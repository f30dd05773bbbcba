"""Subscribe to every ranked feed, as a consumer group of your own.

Each record of the topic `feeds` is a whole feed: items, scores, reasons, and the newest event that it reflects. Records
of newer writers are read too: the decoder looks their schemas up in the registry.

Run it beside `millrace up`, and stop it with Ctrl-C:

    python examples/subscribe_to_feeds.py --group my-team
"""

from __future__ import annotations

import asyncio

import typer
from aiokafka import AIOKafkaConsumer

from infra.address import resolve_addresses
from infra.kafka.registry import open_registry
from infra.settings import Settings, read_settings
from streams.runtime.decode import Decoder
from topics.topic import FEEDS


def main(group: str = "example-feeds", count: int = 0) -> None:
    """Print feeds as they are ranked, from the oldest that is kept; end after some of them, 0 for never."""
    asyncio.run(_print_feeds(resolve_addresses(read_settings()), group, count))


async def _print_feeds(settings: Settings, group: str, count: int) -> None:
    consumer = AIOKafkaConsumer(
        FEEDS.name,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
    )
    printed_count = 0
    async with open_registry(settings.schema_registry_url) as registry, consumer:
        decoder = Decoder(FEEDS, registry, None, stage="example")
        async for message in consumer:
            for _, feed in await decoder.decode([message]):
                print(f"{feed.user_id}: {', '.join(feed.items[:3])} ({feed.reasons[0] if feed.reasons else 'empty'})")
                printed_count += 1
            if printed_count == count != 0:
                break


if __name__ == "__main__":
    typer.run(main)
