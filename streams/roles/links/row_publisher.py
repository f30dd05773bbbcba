"""Row publisher: writes the rows of one partition in transactions, as long as nobody else does.

The rows on their topic are the only copy of the state, so a worker that has lost the partition without noticing must
not write over the rows of its successor. Each partition has a transactional id: the successor ends the transactions of
its predecessor before it reads the rows, and the predecessor can write no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain

from aiokafka import AIOKafkaProducer

from infra.kafka.admin.provision import consumer_group
from infra.kafka.publisher import RecordTooLargeError
from schemas.types import ItemNeighbors
from streams.runtime.role import Role
from topics.topic import ITEM_NEIGHBORS

_TRANSACTION_TIMEOUT_MS = 20_000
"""Time after which brokers end the transaction of a lost worker, for which readers of the partition wait."""
_TRANSACTION_BYTES = 4 << 20
"""Size from which a transaction is committed: it ends in time, and its rows lie in memory meanwhile."""
_REQUEST_BYTES = 2 << 20


class RowPublisher:
    """Publishes rows of a partition.

    Args:
        role: The running role.
        partition: The partition.
    """

    def __init__(self, role: Role, partition: int) -> None:
        self._publisher, self._partition = role.publisher, partition
        self._codec = role.registry.codec(ITEM_NEIGHBORS.record)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=role.settings.kafka_bootstrap_servers,
            transactional_id=f"{consumer_group(role.name)}-{partition}",
            transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
            compression_type="lz4",
            max_request_size=_REQUEST_BYTES,
        )

    async def start(self) -> None:
        """End the transactions of others who wrote rows of the partition; they can begin no other.

        Raises:
            KafkaError: the brokers do not answer.
        """
        await self._producer.start()

    async def publish(self, rows: Iterable[ItemNeighbors]) -> None:
        """Publish rows; return when the brokers have committed them. Without rows, nothing is sent.

        A row that is too large for its topic becomes a dead letter.

        Raises:
            KafkaError: they are not committed, or the partition has another publisher now.
        """
        messages = self._messages(rows)
        while (first := next(messages, None)) is not None:
            async with self._producer.transaction():
                await self._send(chain([first], messages))

    async def stop(self) -> None:
        """Close the connections."""
        await self._producer.stop()

    def _messages(self, rows: Iterable[ItemNeighbors]) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys and values of the rows that can be written."""
        for row in rows:
            key, value = ITEM_NEIGHBORS.key_of(row), None
            try:
                value = self._codec.encode(row)
                self._publisher.check_size(ITEM_NEIGHBORS.name, key, value)
            except (RecordTooLargeError, TypeError, OverflowError) as error:
                self._publisher.reject(ITEM_NEIGHBORS.name, key, error, value=value)
                continue
            yield key, value

    async def _send(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Send messages up to the size of a transaction, and wait until they are acknowledged."""
        acknowledgements, size = [], 0
        for key, value in messages:
            future = await self._producer.send(ITEM_NEIGHBORS.name, value, key=key, partition=self._partition)
            acknowledgements.append(future)
            size += len(value)
            if size > _TRANSACTION_BYTES:
                break
        await asyncio.gather(*acknowledgements)
