"""Faust app, configured for the batch transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faust
from faust.types import TP, EventT
from mode.supervisors import CrashingSupervisor
from yarl import URL

from streams.transport.ledger import InFlight
from streams.transport.monitor import LeanMonitor

Drain = Callable[[], Awaitable[None]]

TABLE_OPTIONS = {"block_cache_size": 8 << 20, "write_buffer_size": 8 << 20, "max_write_buffer_number": 2}
"""RocksDB memory of each partition of each table (Faust's default is a cache of 2 GiB each)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a batch, and of the unacknowledged records of a partition."""

    batch_records: int
    batch_bytes: int
    batch_wait_ms: int
    """Time for which the broker may hold back records for a fuller batch."""
    max_in_flight_records: int
    """Records of a partition in memory above which it is not fetched: those neither processed nor acknowledged."""
    max_in_flight_bytes: int = 64 << 20
    max_processed_records: int
    """Processed, unacknowledged records of a partition above which it is not fetched: a crash repeats them."""
    drain_s: float = 5.0
    """Time for agents to finish when partitions are revoked or the worker stops."""

    def reached(self, load: InFlight) -> bool:
        """Return whether a partition has reached any of its limits.

        Args:
            load: The batches in flight.
        """
        return (
            load.records >= self.max_in_flight_records
            or load.size_bytes >= self.max_in_flight_bytes
            or load.processed_records >= self.max_processed_records
        )


class App(faust.App):  # type: ignore[misc]
    """A Faust app that reads batches."""

    limits: Limits
    drains: list[Drain]

    def on_drain(self, drain: Drain) -> Drain:
        """Register a coroutine function to await before the last commit at a revocation or a stop.

        In it an agent makes its effects durable and acknowledges its events.
        """
        self.drains.append(drain)
        return drain

    def is_live(self, event: EventT) -> bool:
        """Return whether an event is still valid; after its partition was revoked or sought, drop its effects."""
        return bool(self.consumer.is_live(event.message))

    def process(self, event: EventT) -> None:
        """Free the records of an event that is acknowledged later, when the effects of its processing are durable."""
        self.consumer.process(event.message)

    def is_full(self, tp: TP) -> bool:
        """Return whether the unacknowledged records of a partition have reached any of their limits."""
        return self.limits.reached(self.consumer.load(tp))

    def processed_share(self, tp: TP) -> float:
        """Return the processed, unacknowledged records of a partition as a share of their limit.

        Records that were read ahead do not count: no checkpoint and no ranking makes room for them.
        """
        return float(self.consumer.load(tp).processed_records / self.limits.max_processed_records)

    def bytes_table(self, name: str, *, partitions: int) -> Any:
        """Return a table with keys and values of bytes, encoded by its writer."""
        return self.Table(
            name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            options=dict(TABLE_OPTIONS),
        )


def stored_values(table: Any) -> Iterator[bytes]:
    """Return an iterator over the values of a table, which may change during the iteration."""
    values = table.values()
    return iter(values if table.app.conf.store.scheme == "rocksdb" else list(values))


def faust_app(
    app_id: str,
    *,
    bootstrap_servers: str,
    datadir: Path,
    store: Literal["memory", "rocksdb"],
    limits: Limits,
    commit_interval_s: float,
    session_timeout_s: float = 6.0,
    instance_id: str | None = None,
) -> App:
    """Return a Faust app over the batch transport.

    An agent that raises ends the app; its unacknowledged events are read again after the restart.

    Args:
        app_id: The id of the app, which is its consumer group.
        bootstrap_servers: The addresses of the brokers.
        datadir: The folder of the tables; it belongs to one worker process.
        store: The store of the tables.
        limits: Limits of batches and of records in flight.
        commit_interval_s: Time between commits, in seconds.
        session_timeout_s: Time in seconds after a kill -9 until other workers get the partitions.
        instance_id: Makes the worker a static member of its group: restarted under the same id, it gets its partitions
            back at once.
    """
    datadir.mkdir(parents=True, exist_ok=True)
    app = App(
        app_id,
        broker=[URL(f"millrace://{server.strip()}") for server in bootstrap_servers.split(",")],
        store=f"{store}://",
        datadir=datadir,
        web_enabled=False,
        Monitor=LeanMonitor,
        agent_supervisor=CrashingSupervisor,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=session_timeout_s / 4,
        broker_request_timeout=2 * session_timeout_s,
        broker_rebalance_timeout=20.0,
        broker_commit_interval=commit_interval_s,
        broker_commit_every=1 << 31,
        broker_max_poll_records=None,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_id,
        producer_acks=-1,
        producer_linger=0.02,
        producer_compression_type="lz4",
        producer_max_batch_size=256 << 10,
        processing_guarantee="at_least_once",
        stream_wait_empty=True,
        stream_buffer_maxsize=4096,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        worker_redirect_stdouts=False,
    )
    app.limits = limits
    app.drains = []
    return app
