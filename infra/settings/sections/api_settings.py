"""Settings of the API: limits of requests and connections."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, PORT, POSITIVE, between, setting
from schemas.limit import LIST_ITEMS


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """API."""

    api_host: str = setting("127.0.0.1", "host address that the API listens on")
    api_port: int = setting(8000, "port that the API listens on", PORT)
    metrics_port: int = setting(
        9090, "port at which the first API process of a host answers GET /metrics, too; 0: none", between(0, 65_535)
    )
    api_max_body_bytes: int = setting(1 << 20, "maximum size of a request body in bytes", POSITIVE)
    api_max_batch: int = setting(1_000, "maximum number of interactions in a batch", POSITIVE)
    api_max_candidates: int = setting(500, "maximum number of items in a re-rank", between(1, LIST_ITEMS))
    api_publish_timeout_s: float = setting(
        5.0, "maximum wait for the broker to acknowledge records, in seconds", POSITIVE
    )
    api_store_timeout_s: float = setting(0.8, "maximum time for which a request waits for Redis, in seconds", POSITIVE)
    api_rerank_timeout_s: float = setting(
        2.0, "maximum time for which a re-rank waits for a worker, in seconds", POSITIVE
    )
    api_cache_mb: float = setting(
        256.0,
        "memory for feeds and their answers that a process keeps, in MB; 0: every read goes to Redis",
        NOT_NEGATIVE,
    )
    api_after_timeout_s: float = setting(
        1.0, "maximum time for which a read waits for the feed that reflects an interaction, in seconds", POSITIVE
    )
    api_max_listeners: int = setting(1_000, "maximum number of clients that stream feeds, per process", POSITIVE)
    api_max_user_listeners: int = setting(
        10, "maximum number of clients that stream the feed of one user, per process", POSITIVE
    )
    api_max_connections: int = setting(
        2_000,
        "maximum number of connections per process; beyond it the API closes the one that has kept it waiting longest",
        POSITIVE,
    )
    api_max_url_bytes: int = setting(8 << 10, "maximum length of a request's URL in bytes", POSITIVE)
    api_max_header_bytes: int = setting(32 << 10, "maximum size of a request's URL and headers in bytes", POSITIVE)
    api_max_headers: int = setting(100, "maximum number of headers in a request", POSITIVE)
    api_header_timeout_s: float = setting(10.0, "maximum time for a client to send the headers, in seconds", POSITIVE)
    api_body_timeout_s: float = setting(30.0, "maximum time for a client to send the body, in seconds", POSITIVE)
    api_send_timeout_s: float = setting(
        30.0, "maximum time for which a client reads nothing of a response, in seconds", POSITIVE
    )
    api_idle_timeout_s: float = setting(
        5.0, "maximum time for which a connection is idle between requests, in seconds", POSITIVE
    )
    log_requests: bool = setting(False, "whether to log each completed request, without its user")
