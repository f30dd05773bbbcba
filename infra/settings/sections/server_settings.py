"""Settings of the servers: their addresses, and the local stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infra.settings.setting import NOT_NEGATIVE, PORT, setting


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Servers."""

    kafka_bootstrap_servers: str = setting("", "brokers as host:port, comma-separated")
    schema_registry_url: str = setting("", "URL of the schema registry's Confluent API")
    redis_url: str = setting("", "URL of Redis: redis://host:port/db")
    database_url: str = setting("", "URL of PostgreSQL: postgresql://user:password@host:port/database")


@dataclass(frozen=True, kw_only=True)
class LocalStackSettings:
    """Local stack.

    It runs the servers whose addresses are empty.
    """

    millrace_cache: Path = setting(
        Path("~/.cache/millrace"), "folder for downloads of the local stack, shared by all homes"
    )
    kafka_port: int = setting(9092, "port of the local stack's Kafka", PORT)
    schema_registry_port: int = setting(8081, "port of the local stack's schema registry", PORT)
    redis_port: int = setting(6379, "port of the local stack's Redis", PORT)
    database_port: int = setting(5432, "port of the local stack's PostgreSQL", PORT)
    watchdog_timeout_s: float = setting(
        30.0, "seconds without a heartbeat after which the local stack restarts a process; 0: never", NOT_NEGATIVE
    )
