"""The Faust app, set up for this transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faust
from faust.types import EventT
from mode.supervisors import CrashingSupervisor
from yarl import URL

from streams.transport.ledger import InFlight
from streams.transport.monitor import LeanMonitor

Drain = Callable[[], Awaitable[None]]

TABLE_OPTIONS = {"block_cache_size": 8 << 20, "write_buffer_size": 8 << 20, "max_write_buffer_number": 2}
"""RocksDB memory of each partition of each table (Faust's default is a cache of 2 GiB each)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is read at once, and how much may be out."""

    batch_records: int = 1_000
    batch_bytes: int = 4 << 20
    batch_wait_ms: int = 20
    """How long the broker may hold back records to make a fuller batch."""
    unacked_records: int = 20_000
    """Records of a partition in flight past which it is not fetched."""
    unacked_bytes: int = 64 << 20
    drain_s: float = 5.0
    """How long agents may take to finish when partitions are revoked or the worker stops."""

    def reached(self, load: InFlight, *, share: float = 1.0) -> bool:
        """Say whether a partition has a share of what may be in flight of it."""
        return load.records >= share * self.unacked_records or load.size_bytes >= share * self.unacked_bytes


class App(faust.App):  # type: ignore[misc]
    """A Faust app that reads batches."""

    limits: Limits
    drains: list[Drain]

    def on_drain(self, drain: Drain) -> Drain:
        """Have a coroutine function called before the last commit of a revocation or a stop.

        There an agent writes out what it holds and acknowledges its events.
        """
        self.drains.append(drain)
        return drain

    def is_live(self, event: EventT) -> bool:
        """Say whether an event's partition is still the one it was read from; if not, drop what it led to."""
        return bool(self.consumer.is_live(event.message))

    def bytes_table(self, name: str, *, partitions: int) -> Any:
        """Return a table of bytes by bytes: keys and values are encoded by whoever writes them."""
        return self.Table(
            name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            options=dict(TABLE_OPTIONS),
        )


def stored_values(table: Any) -> Iterator[bytes]:
    """Yield the values of a table, which may be written to meanwhile."""
    values = table.values()
    return iter(values if table.app.conf.store.scheme == "rocksdb" else list(values))


def faust_app(
    app_id: str,
    *,
    bootstrap_servers: str,
    datadir: Path,
    store: Literal["memory", "rocksdb"] = "rocksdb",
    limits: Limits | None = None,
    commit_interval_s: float = 1.0,
    session_timeout_s: float = 6.0,
    instance_id: str | None = None,
) -> App:
    """Return a Faust app over the batch transport.

    `datadir` belongs to one worker process. After a kill -9 the group waits `session_timeout_s` before others get the
    partitions. `instance_id` makes the worker a static member of its group: started again under the same id, it has its
    partitions back at once. An agent that raises ends the app: what it had not acknowledged is read again by the next.
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
    app.limits = limits or Limits()
    app.drains = []
    return app
