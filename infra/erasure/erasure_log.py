"""The log of erasures: requests are published here, and every process that reads users' records follows it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from infra.erasure.erasure_index import ErasureIndex, ErasureKey, erasure_key
from infra.error import OperatorError
from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.publisher import RecordPublisher
from infra.kafka.registry import Registry
from infra.settings import Settings
from schemas.codec import DecodeError
from schemas.types import Erasure, ErasureRequest
from topics.topic import ERASURE_REQUESTS, ERASURES

_WAIT_MS, _MAX_RECORDS = 500, 5_000
_LOG = logging.getLogger(__name__)


async def request_erasure(publisher: RecordPublisher, key: ErasureKey, request: ErasureRequest) -> tuple[int, int]:
    """Publish an erasure, then its request; return the partition and the offset of the request.

    Once the erasure is acknowledged, no reader takes an older record of the user into account. The request makes the
    roles erase what they hold.

    Raises:
        PublishError: the brokers did not acknowledge both; a repetition is harmless.
    """
    erasure = Erasure(
        user_hash=key.hash_of(request.user_id.encode()),
        key_id=key.key_id,
        request_id=request.event_id,
        occurred_at=request.occurred_at,
    )
    await publisher.publish(ERASURES, [erasure])
    [(partition, offset)] = (await publisher.publish(ERASURE_REQUESTS, [request])).items()
    return partition, offset


async def read_erasures(settings: Settings, registry: Registry) -> ErasureIndex:
    """Return the erasures so far, for a tool that reads the records of users.

    Args:
        settings: The address of the brokers, and the key.
        registry: Decodes the records.

    Raises:
        OperatorError: no broker answers.
    """
    index, servers = ErasureIndex(erasure_key(settings)), settings.kafka_bootstrap_servers
    try:
        await ErasureFollower(servers, registry, index).catch_up()
    except KafkaError as error:
        raise OperatorError(
            f"Kafka at {servers} does not answer: {error}",
            "Start it (`millrace up` runs one), or set KAFKA_BOOTSTRAP_SERVERS to one that runs.",
        ) from error
    return index


class ErasureFollower:
    """Reads the erasures into an index: those so far by `catch_up`, then the others by `run`."""

    def __init__(self, bootstrap_servers: str, registry: Registry, index: ErasureIndex) -> None:
        """Create a follower.

        Args:
            bootstrap_servers: Brokers, as comma-separated host:port.
            registry: Decodes the records.
            index: The index to fill.
        """
        self._bootstrap_servers, self._registry, self._index = bootstrap_servers, registry, index
        self._offsets: dict[Any, int] = {}

    async def catch_up(self) -> None:
        """Read the erasures up to the present end."""
        partitions = partitions_of(ERASURES)
        async with started(self._consumer()) as consumer:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            while unread := [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
                await self._apply(await consumer.getmany(*unread, timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS))
            self._offsets = {tp: await consumer.position(tp) for tp in partitions}

    async def run(self) -> None:
        """Follow the erasures from there on, until cancelled.

        Raises:
            SchemaRegistryError, httpx.HTTPError: the registry does not answer; a role that does not know an erasure
                must not go on.
        """
        async with started(self._consumer()) as consumer:
            consumer.assign(list(self._offsets))
            for tp, offset in self._offsets.items():
                consumer.seek(tp, offset)
            while True:
                await self._apply(await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS))

    def _consumer(self) -> Any:
        return kafka_consumer(self._bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=_WAIT_MS)

    async def _apply(self, batches: dict[Any, Sequence[ConsumerRecord]]) -> None:
        for records in batches.values():
            for record in records:
                await self._apply_record(record)

    async def _apply_record(self, record: ConsumerRecord) -> None:
        if record.value is None:
            return
        try:
            erasure = await self._registry.decode(self._registry.codec(Erasure), record.value)
        except DecodeError as error:
            _LOG.error("the erasure at %s-%s cannot be read: %s", record.partition, record.offset, error)
            return
        if not self._index.apply(erasure, record.timestamp):
            _LOG.error("an erasure was made with another ERASURE_KEY, and its user is not recognised here")
