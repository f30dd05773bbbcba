"""Settings of workers: their tables, and how they read Kafka."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import POSITIVE, one_of, setting


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Workers."""

    worker_id: str = setting("0", "name of this worker, and of the folder of its tables under MILLRACE_HOME/worker")
    worker_store: str = setting("rocksdb", "storage of tables: rocksdb or memory", one_of("rocksdb", "memory"))
    commit_interval_s: float = setting(1.0, "seconds between checkpoints", POSITIVE)
    batch_records: int = setting(1_000, "maximum number of records in a micro-batch", POSITIVE)
    batch_bytes: int = setting(4 << 20, "maximum size of a micro-batch in bytes", POSITIVE)
    batch_wait_ms: int = setting(20, "maximum wait to fill a micro-batch, in ms", POSITIVE)
    max_in_flight_records: int = setting(
        20_000, "maximum number of records in memory per partition before it is paused", POSITIVE
    )
    max_processed_records: int = setting(
        100_000,
        "maximum number of folded records per partition whose users wait to be ranked, before it is paused",
        POSITIVE,
    )
