"""Clock of a partition of users: the time up to which all of its topics have been read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

_SLACK_MS = 1_000
"""Largest difference between the clocks of the brokers and of this machine, in ms."""


class PartitionClock:
    """Follows what a consumer has read of several topics, of one partition number."""

    def __init__(self, partitions: Collection[TopicPartition], *, max_lead_ms: int) -> None:
        """Start at the beginning of time.

        Args:
            partitions: The partition of each topic.
            max_lead_ms: Time by which one topic may be ahead of another before it waits, in ms.
        """
        self._times_ms = dict.fromkeys(partitions, 0)
        self._max_lead_ms = max_lead_ms

    @property
    def now_ms(self) -> int:
        """Return the time up to which all topics have been read, in ms since the epoch."""
        return min(self._times_ms.values())

    def read(
        self, batches: Mapping[TopicPartition, list[ConsumerRecord]], consumer: Any, ends: Mapping[Any, int]
    ) -> None:
        """Take the records of a fetch.

        A topic that is read to its end has been read up to the time at which the broker last said where it ends.

        Args:
            batches: The records.
            consumer: The consumer.
            ends: The position after the records, by partition.
        """
        for tp, time_ms in self._times_ms.items():
            records = batches.get(tp, [])
            newest_ms = max([time_ms, *(record.timestamp for record in records)])
            if tp in ends and tp in consumer.assignment():
                end, asked_ms = consumer.last_stable_offset(tp), consumer.last_poll_timestamp(tp)
                if end is not None and asked_ms is not None and ends[tp] >= end:
                    newest_ms = max(newest_ms, asked_ms - _SLACK_MS)
            self._times_ms[tp] = newest_ms

    def leading(self) -> list[TopicPartition]:
        """Return the topics that are to wait for the others, so that little has to be held in memory."""
        return [tp for tp, time_ms in self._times_ms.items() if time_ms - self.now_ms > self._max_lead_ms]
