"""The signal agent where statistics are private: what it folds stays in its table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.kafka.partition import partition_of
from infra.settings import Settings
from tests.broker import Broker, Codecs, Worker
from tests.build import an_interaction
from topics.topic import INTERACTIONS, ITEM_SIGNALS, ITEM_STATS, PARTITIONS


def record_count(broker: Broker, topic: str) -> int:
    return sum(len(log) for (name, _), log in broker.logs.items() if name == topic)


@pytest.mark.parametrize(("epsilon", "stats_count"), [(0.0, 3), (0.5, 0)])
async def test_exact_statistics_are_published_unless_they_are_private(epsilon: float, stats_count: int) -> None:
    broker, codec = Broker(), Codecs().codec(INTERACTIONS.record)
    for number in range(3):
        event = an_interaction(user_id="ada", item_id=f"i{number}")
        broker.append(INTERACTIONS.name, partition_of(b"ada", PARTITIONS), b"ada", codec.encode(event))
    worker = Worker(broker, settings=replace(Settings(), private_statistics_epsilon=epsilon))
    for reader in worker.readers:
        while await reader.read():
            pass
        await reader.agent.checkpoint.force()
    assert record_count(broker, ITEM_SIGNALS.name) == 3
    assert record_count(broker, ITEM_STATS.name) == stats_count
    await worker.publisher.close()
