"""Reading topics with aiokafka: committed records only."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError

READ_COMMITTED = "read_committed"


def kafka_consumer(bootstrap_servers: str, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that passes over what a transaction has aborted, and does not read past an open one.

    Offsets are committed by the caller. Positions and end offsets are those of committed records: the position moves
    past aborted records and markers of transactions, and the end is where the first open transaction begins.

    Args:
        bootstrap_servers: Where Kafka is.
        topics: Topics to subscribe to, if any.
        options: More of the client's options.
    """
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap_servers,
        isolation_level=READ_COMMITTED,
        enable_auto_commit=False,
        **options,
    )


async def positions(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """Return the offset that each assigned partition is read from next.

    It is past aborted records and markers of transactions too, after which nothing may come for long.
    """
    offsets: dict[TopicPartition, int] = {}
    for tp in consumer.assignment():
        try:
            offsets[tp] = await consumer.position(tp)
        except IllegalStateError:
            continue  # a rebalance has taken it away meanwhile
    return offsets
