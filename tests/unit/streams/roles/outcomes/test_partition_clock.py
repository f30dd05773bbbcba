"""The clock of a partition: no further than the topic that was read least, and up to now where all is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiokafka import ConsumerRecord, TopicPartition

from streams.roles.outcomes.partition_clock import PartitionClock

SHOWN, ACTED = TopicPartition("impressions.v1", 3), TopicPartition("interactions.v1", 3)


@dataclass
class Broker:
    """The answers of a consumer about its partitions."""

    ends: dict[TopicPartition, int] = field(default_factory=dict)
    asked_ms: int | None = None

    def assignment(self) -> set[TopicPartition]:
        return {SHOWN, ACTED}

    def last_stable_offset(self, tp: TopicPartition) -> int | None:
        return self.ends.get(tp)

    def last_poll_timestamp(self, tp: TopicPartition) -> int | None:
        return self.asked_ms


def a_record(tp: TopicPartition, at_ms: int) -> ConsumerRecord:
    return ConsumerRecord(tp.topic, tp.partition, 0, at_ms, 1, None, None, None, 0, 0, ())


def test_the_slowest_topic_counts_and_the_faster_one_waits_for_it() -> None:
    clock = PartitionClock([SHOWN, ACTED], max_lead_ms=1_000)
    assert (clock.now_ms, clock.leading()) == (0, [])
    clock.read({SHOWN: [a_record(SHOWN, 5_000)], ACTED: [a_record(ACTED, 2_000)]}, Broker(), {})
    assert (clock.now_ms, clock.leading()) == (2_000, [SHOWN])
    clock.read({ACTED: [a_record(ACTED, 4_500), a_record(ACTED, 4_400)]}, Broker(), {})
    assert (clock.now_ms, clock.leading()) == (4_500, [])


def test_a_topic_without_new_records_is_read_up_to_the_time_of_the_last_fetch() -> None:
    clock = PartitionClock([SHOWN, ACTED], max_lead_ms=1_000)
    broker = Broker({SHOWN: 7, ACTED: 0}, asked_ms=60_000)
    clock.read({}, broker, {SHOWN: 7, ACTED: 0})
    assert clock.now_ms == 59_000
    broker.asked_ms = 70_000
    broker.ends[SHOWN] = 8
    clock.read({}, broker, {SHOWN: 7, ACTED: 0})
    assert clock.now_ms == 59_000, "there is a record that was not read"
    clock.read({}, Broker(), {SHOWN: 8, ACTED: 0})
    assert clock.now_ms == 59_000, "nothing is known of the ends"
