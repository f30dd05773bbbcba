"""Workers of the transport's tests as processes: start, watch, kill, stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 8


class Stack(Protocol):
    kafka_bootstrap_servers: str


def create_topics(servers: str, *names: str, **config: str) -> None:
    topics = [NewTopic(name, PARTITIONS, 1, config=config) for name in names]
    admin = AdminClient({"bootstrap.servers": servers})
    for creation in admin.create_topics(topics, operation_timeout=30).values():
        creation.result(30)

    def led() -> bool:
        """A worker that joins before the broker knows of a topic has none of its partitions for minutes."""
        known_topics = admin.list_topics(timeout=30).topics
        return all(
            name in known_topics and all(p.leader >= 0 for p in known_topics[name].partitions.values())
            for name in names
        )

    until(led, within_s=30, what="the topics have leaders")


def producer(servers: str, **config: Any) -> Producer:
    return Producer(
        {
            "bootstrap.servers": servers,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
            **config,
        }
    )


def until(condition: Callable[[], Any], *, within_s: float, what: str, log: Callable[[], str] = str) -> Any:
    """Wait for a condition and return what it returned; fail with what was waited for, and the end of a log."""
    end_s = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end_s, f"not within {within_s} s: {what}\n{log()}"
        time.sleep(0.02)
    return value


class Worker:
    """One worker process and what it noted."""

    def __init__(self, home: Path, options: dict[str, Any]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.notes = home / "processed"
        self.log = home / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.pipeline.transport.transport_worker",
                    json.dumps({"home": str(home), **options}),
                ],
                cwd=Path(__file__).parents[3],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def noted(self) -> int:
        """Bytes of notes in the home folder, of this process and those before it."""
        return self.notes.stat().st_size if self.notes.exists() else 0

    def wait_working(self, *, within_s: float = 45) -> None:
        """Wait until this process noted something that it had not before the call."""
        before = self.noted

        def works() -> bool:
            assert self.process.poll() is None, f"the worker ended:\n{self.tail()}"
            return self.noted > before

        until(works, within_s=within_s, what="the worker works", log=self.tail)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, *, within_s: float = 30) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def tail(self) -> str:
        return self.log.read_text()[-4_000:]


class Fleet:
    """The workers of one test; none outlives it."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._workers: list[Worker] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()

    def start(self, home: Path) -> Worker:
        """Start a worker in a home folder, perhaps after another."""
        self._workers.append(Worker(home, self._options))
        return self._workers[-1]


def processed(*homes: Path) -> Counter[tuple[int, int]]:
    """Count how often each (partition, offset) was processed."""
    counts: Counter[tuple[int, int]] = Counter()
    for home in homes:
        notes = home / "processed"
        for line in notes.read_text().splitlines() if notes.exists() else ():
            partition, offset = line.split()
            counts[int(partition), int(offset)] += 1
    return counts


def committed(servers: str, group: str, topic: str) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group})
    try:
        offsets = consumer.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=30)
        return {tp.partition: tp.offset for tp in offsets}
    finally:
        consumer.close()


def ends(servers: str, topic: str) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "unused"})
    try:
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
            for number in range(PARTITIONS)
        }
    finally:
        consumer.close()


def latest_values(servers: str, topic: str) -> dict[bytes, bytes]:
    """Read a changelog: the newest value of each key."""
    remaining_ends = {number: end for number, end in ends(servers, topic).items() if end}
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "unused", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in remaining_ends])
        values: dict[bytes, bytes] = {}
        while remaining_ends:
            message = consumer.poll(30)
            assert message is not None, f"the changelog ended early: {remaining_ends}"
            assert message.error() is None
            values[message.key()] = message.value()
            if message.offset() + 1 >= remaining_ends.get(message.partition(), 0):
                remaining_ends.pop(message.partition(), None)
        return values
    finally:
        consumer.close()
