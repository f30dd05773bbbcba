"""Settings, read once from the environment; the only place that reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class SettingsError(ValueError):
    """Every setting that could not be read, at once."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(["these settings cannot be used:", *(f"  {problem}" for problem in problems)]))


def _setting(env: str, default: Any, doc: str, *, check: Callable[[Any], bool] | None = None, must: str = "") -> Any:
    return field(default=default, metadata={"env": env, "doc": doc, "check": check, "must": must})


def _port(env: str, default: int, doc: str) -> Any:
    return _setting(env, default, doc, check=lambda port: 0 < port < 65536, must="a port")


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


def _share(value: float) -> bool:
    return 0 < value <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be configured. A URL left empty means: the local stack runs that server."""

    environment: str = _setting("ENVIRONMENT", "development", "development or production")
    debug: bool = _setting("DEBUG", False, "log at debug level")
    home: Path = _setting("MILLRACE_HOME", Path(".millrace"), "folder of the local stack's data, logs and state")
    cache: Path = _setting(
        "MILLRACE_CACHE", Path("~/.cache/millrace"), "folder of what the local stack downloads, shared by all homes"
    )

    kafka_bootstrap_servers: str = _setting("KAFKA_BOOTSTRAP_SERVERS", "", "host:port of the brokers, comma-separated")
    schema_registry_url: str = _setting("SCHEMA_REGISTRY_URL", "", "address of the registry's Confluent API")
    redis_url: str = _setting("REDIS_URL", "", "redis://host:port/db")
    database_url: str = _setting("DATABASE_URL", "", "postgresql://user:password@host:port/database")

    kafka_port: int = _port("KAFKA_PORT", 9092, "port of the local stack's Kafka")
    schema_registry_port: int = _port("SCHEMA_REGISTRY_PORT", 8081, "port of the local stack's schema registry")
    redis_port: int = _port("REDIS_PORT", 6379, "port of the local stack's Redis")
    database_port: int = _port("DATABASE_PORT", 5432, "port of the local stack's PostgreSQL")

    api_host: str = _setting("API_HOST", "127.0.0.1", "address that the API listens on")
    api_port: int = _port("API_PORT", 8000, "port of the API")
    api_max_body_bytes: int = _setting("API_MAX_BODY_BYTES", 1 << 20, "largest request body", check=_positive)
    api_max_batch: int = _setting("API_MAX_BATCH", 1_000, "most interactions in one batch", check=_positive)
    api_publish_timeout_s: float = _setting(
        "API_PUBLISH_TIMEOUT_S", 5.0, "how long a publish may wait for the broker", check=_positive
    )
    api_max_listeners: int = _setting(
        "API_MAX_LISTENERS", 1_000, "most clients that follow a feed as a stream, per process", check=_positive
    )
    location_resolution: int = _setting(
        "LOCATION_RESOLUTION",
        7,
        "H3 resolution that pings are coarsened to (7: about 5 km²)",
        check=lambda value: 0 <= value <= 15,
        must="from 0 to 15",
    )

    feed_ttl_days: float = _setting(
        "FEED_TTL_DAYS",
        30.0,
        "days a feed stays that nothing replaces; 0 for ever",
        check=lambda value: value >= 0,
        must="0 or more",
    )
    max_recommendations: int = _setting("MAX_RECOMMENDATIONS", 50, "items in a feed", check=_positive)
    show_seen_items: bool = _setting(
        "SHOW_SEEN_ITEMS", False, "whether items are shown again to who acted on them, as places are and films are not"
    )
    cold_start_threshold: int = _setting(
        "COLD_START_THRESHOLD", 5, "interactions before a feed is personal", check=lambda value: value >= 0
    )
    trending_decay_rate: float = _setting(
        "TRENDING_DECAY_RATE", 0.95, "what is left of a signal's trend after an hour", check=_share, must="in (0, 1]"
    )
    popularity_half_life_days: float = _setting(
        "POPULARITY_HALF_LIFE_DAYS", 30.0, "half-life of popularity", check=_positive
    )
    affinity_half_life_days: float = _setting(
        "AFFINITY_HALF_LIFE_DAYS", 30.0, "half-life of a user's affinities", check=_positive
    )
    cooccurrence_half_life_days: float = _setting(
        "COOCCURRENCE_HALF_LIFE_DAYS", 60.0, "half-life of item-to-item co-occurrence", check=_positive
    )
    diversity_cap: float = _setting(
        "DIVERSITY_CAP", 0.7, "largest share of one category in any ten items of a feed", check=_share, must="in (0, 1]"
    )

    trainer_batch_events: int = _setting(
        "TRAINER_BATCH_EVENTS", 50, "events in a mini-batch of the trainer", check=_positive
    )
    model_publish_interval_s: float = _setting(
        "MODEL_PUBLISH_INTERVAL_S",
        5.0,
        "seconds between the weights that are learned live; 0: only full fits change them",
        check=_not_negative,
        must="0 or more",
    )
    model_fit_interval_s: float = _setting(
        "MODEL_FIT_INTERVAL_S",
        3_600.0,
        "seconds between fits of the model to the newest events; 0: only when asked",
        check=_not_negative,
        must="0 or more",
    )
    model_full_fit_interval_s: float = _setting(
        "MODEL_FULL_FIT_INTERVAL_S",
        86_400.0,
        "seconds between fits to all events; 0: only when asked",
        check=_not_negative,
        must="0 or more",
    )
    model_fit_events: int = _setting(
        "MODEL_FIT_EVENTS", 200_000, "newest events that weights are fitted to between full fits", check=_positive
    )
    model_tolerance: float = _setting(
        "MODEL_TOLERANCE",
        0.02,
        "share of NDCG@10 by which a fit may rank worse than what is in service",
        check=lambda share: 0 <= share < 1,
        must="in [0, 1)",
    )
    model_artifacts_kept: int = _setting(
        "MODEL_ARTIFACTS_KEPT", 10, "versions kept under MILLRACE_HOME/models", check=_positive
    )

    commit_interval_s: float = _setting("COMMIT_INTERVAL_S", 1.0, "seconds between checkpoints", check=_positive)
    batch_records: int = _setting("BATCH_RECORDS", 1_000, "most records in one micro-batch", check=_positive)
    batch_bytes: int = _setting("BATCH_BYTES", 4 << 20, "most bytes in one micro-batch", check=_positive)
    batch_wait_ms: int = _setting("BATCH_WAIT_MS", 20, "longest wait for a fuller micro-batch", check=_positive)
    unacked_records: int = _setting(
        "UNACKED_RECORDS", 20_000, "most records of a partition in flight before it is paused", check=_positive
    )
    worker_id: str = _setting("WORKER_ID", "0", "name of this worker: its tables' folder under MILLRACE_HOME/worker")
    worker_store: str = _setting("WORKER_STORE", "rocksdb", "where tables live: rocksdb or memory")


def read(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of an environment, the process's own by default.

    Raises:
        SettingsError: naming every setting that cannot be used.
    """
    env = os.environ if env is None else env
    values: dict[str, Any] = {}
    problems: list[str] = []
    for spec in fields(Settings):
        name = spec.metadata["env"]
        raw = env.get(name, "").strip()
        if not raw:
            continue
        try:
            value = _parse(raw, Path if isinstance(spec.default, Path) else type(spec.default))
        except ValueError:
            problems.append(f"{name}={raw!r}: must be {_KINDS[type(spec.default)]} ({spec.metadata['doc']})")
            continue
        check = spec.metadata["check"]
        if check is not None and not check(value):
            problems.append(f"{name}={raw!r}: must be {spec.metadata['must'] or 'positive'} ({spec.metadata['doc']})")
            continue
        values[spec.name] = value
    if problems:
        raise SettingsError(problems)
    return replace(Settings(), **values)


def to_env(settings: Settings) -> dict[str, str]:
    """Return the environment that reads as these settings, wherever it is read."""
    values = {spec.metadata["env"]: getattr(settings, spec.name) for spec in fields(Settings)}
    return {
        name: str(value.expanduser().resolve()) if isinstance(value, Path) else _text(value)
        for name, value in values.items()
    }


def masked(url: str) -> str:
    """Return a URL with its password hidden."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _text(value: object) -> str:
    if isinstance(value, Path):
        return str(value.expanduser().resolve())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(raw: str, kind: Callable[[str], Any]) -> Any:
    if kind is bool:
        if raw.lower() not in _WORDS:
            raise ValueError(raw)
        return _WORDS[raw.lower()]
    return kind(raw)
