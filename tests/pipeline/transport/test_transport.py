"""The transport on a real broker: nothing lost through joins, kills and stops; tables survive; every byte arrives."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path

import pytest

from tests.pipeline.transport.transport_fleet import (
    PARTITIONS,
    Fleet,
    Stack,
    committed,
    create_topics,
    ends,
    latest_values,
    processed,
    producer,
    until,
)

RECORDS = 400_000
ROUNDS = 5
RATE_PER_S = 6_000
CHUNK = 100
SLOWING_S = 20


class Load(threading.Thread):
    """Produces small records steadily, ever slower, so that it does not end before it is told to."""

    def __init__(self, servers: str, topic: str) -> None:
        super().__init__(daemon=True)
        self._producer = producer(servers)
        self._topic = topic
        self.hurry = threading.Event()

    def run(self) -> None:
        for number in range(RECORDS):
            self._producer.produce(self._topic, b"value-%d" % number, b"key-%d" % (number % 5_000))
            if number % CHUNK == 0:
                self._producer.poll(0)
                self.hurry.wait(CHUNK / min(RATE_PER_S, (RECORDS - number) / SLOWING_S))
        self._producer.flush()


def test_no_record_is_lost_through_joins_kills_and_stops(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    tag = uuid.uuid4().hex[:8]
    topic, group = f"load-{tag}", f"fleet-{tag}"
    create_topics(servers, topic)
    homes = [tmp_path / "a", tmp_path / "b"]

    load = Load(servers, topic)
    load.start()
    with Fleet(bootstrap_servers=servers, app_id=group, topic=topic, partitions=PARTITIONS) as fleet:
        alive = fleet.start(homes[0])
        alive.wait_working()
        for _ in range(ROUNDS):
            joined_worker = fleet.start(homes[1])  # join
            joined_worker.wait_working()
            alive.wait_working()
            alive.kill()  # kill -9
            joined_worker.wait_working()
            alive = fleet.start(homes[0])  # join again
            alive.wait_working()
            joined_worker.wait_working()
            assert load.is_alive(), "the load ended early"
            assert joined_worker.stop() == 0, joined_worker.tail()  # SIGTERM
            alive.wait_working()
        load.hurry.set()
        load.join()
        until(
            lambda: committed(servers, group, topic) == ends(servers, topic),
            within_s=60,
            what="everything is committed",
            log=alive.tail,
        )
        assert alive.stop() == 0, alive.tail()

    expected = {(partition, offset) for partition, end in ends(servers, topic).items() for offset in range(end)}
    assert len(expected) == RECORDS
    records = processed(*homes)
    assert set(records) == expected, f"{len(expected - set(records))} records were lost"
    repeats = records.total() - RECORDS
    print(f"{RECORDS} records, {ROUNDS} rounds: 0 lost, {repeats} repeats ({repeats / RECORDS:.2%})")
    assert repeats <= RECORDS * 0.05


@pytest.mark.parametrize(
    ("store", "instance_id", "session_timeout_s"),
    [
        ("memory", None, 3),
        ("rocksdb", None, 3),
        # A static member does not wait for its predecessor's session to end: it works again long before that.
        ("rocksdb", "worker-0", 90),
    ],
)
def test_table_written_from_a_checkpoint_task_survives_a_kill(
    stack: Stack, tmp_path: Path, store: str, instance_id: str | None, session_timeout_s: float
) -> None:
    servers = stack.kafka_bootstrap_servers
    tag = uuid.uuid4().hex[:8]
    topic, group = f"counted-{tag}", f"counter-{tag}"
    create_topics(servers, topic)
    create_topics(servers, f"{group}-counts-changelog", **{"cleanup.policy": "compact"})
    keys, each = 500, 40
    out = producer(servers)

    def publish() -> None:
        for number in range(keys * each):
            out.produce(topic, b"x", b"key-%d" % (number % keys))
        out.flush()

    publish()
    with Fleet(
        bootstrap_servers=servers,
        app_id=group,
        topic=topic,
        partitions=PARTITIONS,
        store=store,
        table=True,
        instance_id=instance_id,
        session_timeout_s=session_timeout_s,
    ) as fleet:
        worker = fleet.start(tmp_path)
        worker.wait_working()
        worker.kill()
        publish()
        restarted_s = time.monotonic()
        worker = fleet.start(tmp_path)
        worker.wait_working()
        print(f"{store}, {instance_id}: working {time.monotonic() - restarted_s:.1f} s after kill -9")
        until(
            lambda: committed(servers, group, topic) == ends(servers, topic),
            within_s=60,
            what="everything is committed",
            log=worker.tail,
        )
        assert worker.stop() == 0, worker.tail()
    counts = {key: json.loads(value)[0] for key, value in latest_values(servers, f"{group}-counts-changelog").items()}
    assert counts == {b"key-%d" % number: 2 * each for number in range(keys)}
