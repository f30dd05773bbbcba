"""The transport on a real broker: nothing lost through joins, kills and stops; tables survive; every byte arrives."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path

import pytest

from tests.pipeline.transport_fleet import (
    PARTITIONS,
    Stack,
    Worker,
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


class Load(threading.Thread):
    """Produces small records at a steady rate until all are out."""

    def __init__(self, servers: str, topic: str) -> None:
        super().__init__(daemon=True)
        self._producer = producer(servers)
        self._topic = topic
        self.hurry = threading.Event()

    def run(self) -> None:
        start_s = time.monotonic()
        for number in range(RECORDS):
            self._producer.produce(self._topic, b"value-%d" % number, b"key-%d" % (number % 5_000))
            if number % 100 == 0:
                self._producer.poll(0)
                ahead_s = number / RATE_PER_S - (time.monotonic() - start_s)
                if ahead_s > 0:
                    self.hurry.wait(ahead_s)
        self._producer.flush()


def test_no_record_is_lost_through_joins_kills_and_stops(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    tag = uuid.uuid4().hex[:8]
    topic, group = f"load-{tag}", f"fleet-{tag}"
    create_topics(servers, topic)
    options = {"bootstrap_servers": servers, "app_id": group, "topic": topic, "partitions": PARTITIONS}
    homes = [tmp_path / "a", tmp_path / "b"]

    load = Load(servers, topic)
    load.start()
    alive = Worker(homes[0], options)
    alive.wait_working()
    for number in range(ROUNDS):
        joined = Worker(homes[1], options)  # join
        joined.wait_working()
        alive.wait_working()
        alive.kill()  # kill -9
        joined.wait_working()
        alive = Worker(homes[0], options)  # join again
        alive.wait_working()
        joined.wait_working()
        assert load.is_alive(), f"the load ended before round {number + 1} did"
        assert joined.stop() == 0, joined.tail()  # SIGTERM
        alive.wait_working()
    load.hurry.set()
    load.join()
    expected = {(partition, offset) for partition, end in ends(servers, topic).items() for offset in range(end)}
    assert len(expected) == RECORDS
    until(
        lambda: committed(servers, group, topic) == ends(servers, topic),
        within_s=60,
        what=f"everything is committed\n{alive.tail()}",
    )
    assert alive.stop() == 0, alive.tail()

    seen = processed(*homes)
    assert set(seen) == expected, f"{len(expected - set(seen))} records were lost"
    repeats = seen.total() - RECORDS
    print(f"{RECORDS} records, {ROUNDS} rounds: 0 lost, {repeats} repeats ({repeats / RECORDS:.2%})")
    assert repeats <= RECORDS * 0.05


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
@pytest.mark.parametrize("instance_id", [None, "worker-0"], ids=["dynamic", "static"])
def test_table_written_from_a_checkpoint_task_survives_a_kill(
    stack: Stack, tmp_path: Path, store: str, instance_id: str | None
) -> None:
    servers = stack.kafka_bootstrap_servers
    tag = uuid.uuid4().hex[:8]
    topic, group = f"counted-{tag}", f"counter-{tag}"
    create_topics(servers, topic)
    create_topics(servers, f"{group}-counts-changelog", **{"cleanup.policy": "compact"})
    options = {
        "bootstrap_servers": servers,
        "app_id": group,
        "topic": topic,
        "partitions": PARTITIONS,
        "store": store,
        "table": True,
        "instance_id": instance_id,
    }
    keys, each = 500, 40
    out = producer(servers)

    def publish() -> None:
        for number in range(keys * each):
            out.produce(topic, b"x", b"key-%d" % (number % keys))
        out.flush()

    publish()
    worker = Worker(tmp_path, options)
    worker.wait_working()
    worker.kill()
    publish()
    restarted_s = time.monotonic()
    worker = Worker(tmp_path, options)
    worker.wait_working()
    print(f"{store}, {instance_id}: working {time.monotonic() - restarted_s:.1f} s after kill -9")
    if instance_id is not None:
        assert time.monotonic() - restarted_s < 6, "a static member must not wait for its session to end"
    until(
        lambda: committed(servers, group, topic) == ends(servers, topic), within_s=60, what=f"all done\n{worker.tail()}"
    )
    assert worker.stop() == 0, worker.tail()
    counts = {key: json.loads(value)[0] for key, value in latest_values(servers, f"{group}-counts-changelog").items()}
    assert counts == {b"key-%d" % number: 2 * each for number in range(keys)}
