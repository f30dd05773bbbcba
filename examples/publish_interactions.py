"""Publish interactions straight to Kafka, with any client library and our codec.

The broker's acknowledgement is the receipt: an acknowledged event is folded once, since each event has an id, however
often it is sent within a day. The key is the user id, partitioned by murmur2 as all user-keyed topics are.

Run it beside `millrace up`:

    python examples/publish_interactions.py alex music-distant-garden-side-two --action like
"""

from __future__ import annotations

import time
from typing import Annotated, cast

import typer
import uuid_utils
from confluent_kafka import KafkaError, Message, Producer

from infra.address import resolve_addresses
from infra.kafka.registry import Registry
from infra.settings import read_settings
from schemas.types import Action, Interaction
from topics.topic import INTERACTIONS


def main(user: str, items: Annotated[list[str], typer.Argument()], action: str = "click") -> None:
    """Publish an interaction of a user with each of some items."""
    settings = resolve_addresses(read_settings())
    registry = Registry(settings.schema_registry_url)
    registry.connect()
    codec = registry.codec(Interaction)
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
        }
    )

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise SystemExit(f"not published: {error}")
        print(f"published to {message.topic()}, partition {message.partition()}, offset {message.offset()}")

    for item in items:
        event = Interaction(
            event_id=str(uuid_utils.uuid7()),
            user_id=user,
            item_id=item,
            action=cast("Action", action),
            occurred_at=time.time_ns() // 1_000_000,
        )
        key, value = INTERACTIONS.key_of(event), codec.encode(event)
        producer.produce(INTERACTIONS.name, key=key, value=value, on_delivery=on_delivery)
    producer.flush()
    registry.close()


if __name__ == "__main__":
    typer.run(main)
