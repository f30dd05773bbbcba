"""The ledger of the privacy budget: the topic `privacy-ledger`, whose order decides which spendings are granted.

A spending is appended and acknowledged first; then its process reads the day up to it. All have one key, so
all processes see one order and come to the same result, with no lock and no second store. A process that dies after
its spending has spent for nothing; none releases anything that is not in the log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from domain.timestamp import DAY_MS
from infra.error import OperatorError
from infra.kafka.consumer import kafka_consumer, started
from infra.kafka.partition import partition_of
from infra.kafka.publisher import PublishError, RecordPublisher
from infra.kafka.registry import Registry
from infra.privacy.privacy_budget import OverBudgetError, PrivacyBudget
from infra.settings import Settings
from schemas.codec import DecodeError
from schemas.types import PrivacySpending
from topics.topic import PARTITIONS, PRIVACY_LEDGER

LEDGER = "releases"
"""The ledger of private releases."""
_WAIT_MS, _MAX_RECORDS = 500, 1_000
_READ_S = 60.0
"""Longest wait for the spendings of a day."""
_LOG = logging.getLogger(__name__)
_LedgerEntry = tuple[ConsumerRecord, PrivacySpending]


class BudgetReader(Protocol):
    """Reads the privacy budget."""

    async def read(self, now_ms: int) -> PrivacyBudget:
        """Return the budget of a day.

        Args:
            now_ms: A time of the day, in ms since the epoch.

        Raises:
            KafkaError: no broker answers.
        """
        ...


class UnspentBudget:
    """A budget of which nothing is spent, for an API without brokers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def read(self, now_ms: int) -> PrivacyBudget:
        """Return the budget of a day.

        Args:
            now_ms: A time of the day, in ms since the epoch.
        """
        return budget_of(self._settings, now_ms // DAY_MS)


class PrivacyLedger:
    """Spends from the budget of the day, and reads it."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings, self._registry = settings, registry
        self._partition = TopicPartition(PRIVACY_LEDGER.name, partition_of(LEDGER.encode(), PARTITIONS))

    async def spend(self, publisher: RecordPublisher, spending: PrivacySpending) -> PrivacyBudget:
        """Spend from the budget of the day, and return the budget after it. Release nothing before that.

        Args:
            publisher: Publishes the spending.
            spending: The spending.

        Raises:
            OverBudgetError: too little is left; nothing is spent.
            OperatorError: the brokers do not answer. The spending may have reached them all the same.
        """
        try:
            [offset] = (await publisher.publish(PRIVACY_LEDGER, [spending])).values()
            async with asyncio.timeout(_READ_S):
                return await self._granted(spending, offset)
        except (PublishError, KafkaError, TimeoutError) as error:
            raise OperatorError(
                f"The privacy budget cannot be spent from: {error}", "Start Kafka, then try again."
            ) from error

    async def read(self, now_ms: int) -> PrivacyBudget:
        """Return the budget of a day.

        Args:
            now_ms: A time of the day, in ms since the epoch.
        """
        budget = budget_of(self._settings, now_ms // DAY_MS)
        async with started(self._consumer()) as consumer:
            consumer.assign([self._partition])
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            for _, spending in await self._spendings_of(consumer, budget.day, end):
                budget.fold(spending)
        return budget

    async def _granted(self, spending: PrivacySpending, offset: int) -> PrivacyBudget:
        """Return the budget after a spending of the log.

        Raises:
            OverBudgetError: it was not granted.
        """
        async with started(self._consumer()) as consumer:
            consumer.assign([self._partition])
            [(own_record, _)] = await self._read(consumer, offset, offset + 1)
            budget = budget_of(
                self._settings, own_record.timestamp // DAY_MS
            )  # the day of the append, not of our clock
            are_granted = [
                budget.fold(other) for _, other in await self._spendings_of(consumer, budget.day, offset + 1)
            ]
        if not are_granted[-1]:
            raise OverBudgetError(spending, budget)
        return budget

    def _consumer(self) -> AIOKafkaConsumer:
        servers = self._settings.kafka_bootstrap_servers
        return kafka_consumer(servers, auto_offset_reset="earliest", fetch_max_wait_ms=_WAIT_MS)

    async def _spendings_of(self, consumer: AIOKafkaConsumer, day: int, end: int) -> list[_LedgerEntry]:
        """Return the spendings that were appended on a day, up to an offset."""
        first = (await consumer.offsets_for_times({self._partition: day * DAY_MS}))[self._partition]
        entries = [] if first is None else await self._read(consumer, first.offset, end)
        return [entry for entry in entries if entry[0].timestamp // DAY_MS == day]

    async def _read(self, consumer: AIOKafkaConsumer, start: int, end: int) -> list[_LedgerEntry]:
        """Return the spendings from one offset up to another."""
        codec, tp = self._registry.codec(PrivacySpending), self._partition
        entries: list[_LedgerEntry] = []
        consumer.seek(tp, start)
        while await consumer.position(tp) < end:
            batches = await consumer.getmany(tp, timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
            for record in batches.get(tp, ()):
                if record.offset < end:
                    try:
                        entries.append((record, await self._registry.decode(codec, record.value)))
                    except DecodeError as error:  # no spending: its writer would have read it back
                        _LOG.error("the entry %s of the privacy ledger cannot be read: %s", record.offset, error)
        return entries


def budget_of(settings: Settings, day: int) -> PrivacyBudget:
    """Return the budget of a day before anything is spent.

    Args:
        settings: Supplies the budget.
        day: The day, in days since the epoch.
    """
    return PrivacyBudget(day=day, epsilon=settings.privacy_epsilon, delta=settings.privacy_delta)
