"""Settings, read once from the environment. No other module reads the environment."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schemas.limit import LIST_ITEMS, RATING_MAX
from schemas.zone import zone_named


class SettingsError(ValueError):
    """Invalid settings, all in one error."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(["these settings cannot be used:", *(f"  {problem}" for problem in problems)]))


OFF = "off"
HIDE = "hide"
JWT_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Algorithms with public keys only: a published key must never be used as a shared secret."""
_SLOT = re.compile(r"(daily|mon|tue|wed|thu|fri|sat|sun) +([01]\d|2[0-3]):[0-5]\d +[a-z0-9-]{1,64}")

_RATE = re.compile(r"[1-9]\d{0,8}/(second|minute|hour)")
_RATE_MUST = "like 600/minute, or off"


def _setting(env: str, default: Any, doc: str, *, check: Callable[[Any], bool] | None = None, must: str = "") -> Any:
    return field(default=default, metadata={"env": env, "doc": doc, "check": check, "must": must})


def _secret(env: str, doc: str, *, check: Callable[[str], bool] | None = None, must: str = "") -> Any:
    return field(default="", repr=False, metadata={"env": env, "doc": doc, "check": check, "must": must})


def _port(env: str, default: int, doc: str) -> Any:
    return _setting(env, default, doc, check=lambda port: 0 < port < 65536, must="a port")


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


def _is_rate(limit: str) -> bool:
    return limit == OFF or _RATE.fullmatch(limit) is not None


def _share(value: float) -> bool:
    return 0 < value <= 1


def seconds_by_name(text: str) -> dict[str, float]:
    """Return the entries of `name=seconds,name=seconds`.

    Raises:
        ValueError: the text does not have this form.
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): float(seconds) for name, _, seconds in pairs}


def _are_seconds(text: str) -> bool:
    try:
        return all(name and 0 < seconds < math.inf for name, seconds in seconds_by_name(text).items())
    except ValueError:
        return False


def _names(text: str) -> list[str]:
    """Return the entries of `name, name`."""
    return [part.strip() for part in text.split(",") if part.strip()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration. The local stack runs the servers whose URLs are empty."""

    environment: str = _setting("ENVIRONMENT", "development", "development or production")
    log_format: str = _setting(
        "LOG_FORMAT",
        "auto",
        "json, console, or auto (json outside development)",
        check=lambda name: name in {"auto", "json", "console"},
        must="auto, json or console",
    )
    debug: bool = _setting("DEBUG", False, "whether to log at debug level")
    millrace_home: Path = _setting("MILLRACE_HOME", Path(".millrace"), "folder for the data, logs and state of the local stack")
    millrace_cache: Path = _setting(
        "MILLRACE_CACHE", Path("~/.cache/millrace"), "folder for downloads of the local stack, shared by all homes"
    )

    kafka_bootstrap_servers: str = _setting("KAFKA_BOOTSTRAP_SERVERS", "", "brokers as host:port, comma-separated")
    schema_registry_url: str = _setting("SCHEMA_REGISTRY_URL", "", "URL of the schema registry's Confluent API")
    redis_url: str = _setting("REDIS_URL", "", "URL of Redis: redis://host:port/db")
    database_url: str = _setting("DATABASE_URL", "", "URL of PostgreSQL: postgresql://user:password@host:port/database")

    kafka_port: int = _port("KAFKA_PORT", 9092, "port of the local stack's Kafka")
    schema_registry_port: int = _port("SCHEMA_REGISTRY_PORT", 8081, "port of the local stack's schema registry")
    redis_port: int = _port("REDIS_PORT", 6379, "port of the local stack's Redis")
    database_port: int = _port("DATABASE_PORT", 5432, "port of the local stack's PostgreSQL")

    watchdog_timeout_s: float = _setting(
        "WATCHDOG_TIMEOUT_S",
        30.0,
        "seconds without a heartbeat after which the local stack restarts a process; 0: never",
        check=_not_negative,
        must="0 or more",
    )

    api_host: str = _setting("API_HOST", "127.0.0.1", "host address that the API listens on")
    api_port: int = _port("API_PORT", 8000, "port that the API listens on")
    api_max_body_bytes: int = _setting(
        "API_MAX_BODY_BYTES", 1 << 20, "maximum size of a request body in bytes", check=_positive
    )
    api_max_batch: int = _setting("API_MAX_BATCH", 1_000, "maximum number of interactions in a batch", check=_positive)
    api_publish_timeout_s: float = _setting(
        "API_PUBLISH_TIMEOUT_S", 5.0, "maximum wait for the broker to acknowledge records, in seconds", check=_positive
    )
    api_store_timeout_s: float = _setting(
        "API_STORE_TIMEOUT_S", 0.8, "maximum time for which a request waits for Redis, in seconds", check=_positive
    )
    api_max_listeners: int = _setting(
        "API_MAX_LISTENERS", 1_000, "maximum number of clients that stream feeds, per process", check=_positive
    )
    api_max_user_listeners: int = _setting(
        "API_MAX_USER_LISTENERS",
        10,
        "maximum number of clients that stream the feed of one user, per process",
        check=_positive,
    )
    api_max_connections: int = _setting(
        "API_MAX_CONNECTIONS",
        2_000,
        "maximum number of connections per process; beyond it the API closes the one that has kept it waiting longest",
        check=_positive,
    )
    api_max_url_bytes: int = _setting(
        "API_MAX_URL_BYTES", 8 << 10, "maximum length of a request's URL in bytes", check=_positive
    )
    api_max_header_bytes: int = _setting(
        "API_MAX_HEADER_BYTES", 32 << 10, "maximum size of a request's URL and headers in bytes", check=_positive
    )
    api_max_headers: int = _setting("API_MAX_HEADERS", 100, "maximum number of headers in a request", check=_positive)
    api_header_timeout_s: float = _setting(
        "API_HEADER_TIMEOUT_S", 10.0, "maximum time for a client to send the headers, in seconds", check=_positive
    )
    api_body_timeout_s: float = _setting(
        "API_BODY_TIMEOUT_S", 30.0, "maximum time for a client to send the body, in seconds", check=_positive
    )
    api_send_timeout_s: float = _setting(
        "API_SEND_TIMEOUT_S",
        30.0,
        "maximum time for which a client reads nothing of a response, in seconds",
        check=_positive,
    )
    api_idle_timeout_s: float = _setting(
        "API_IDLE_TIMEOUT_S",
        5.0,
        "maximum time for which a connection is idle between requests, in seconds",
        check=_positive,
    )
    api_security: str = _setting(
        "API_SECURITY",
        "auto",
        "whether to require bearer tokens and enforce rate limits: on, off, or auto (on outside development)",
        check=lambda state: state in {"auto", "on", OFF},
        must="auto, on or off",
    )
    jwt_secret: str = _secret(
        "JWT_SECRET",
        "secret for the signatures of HS256 tokens",
        check=lambda key: len(key) >= 32,
        must="32 characters or more",
    )
    jwt_jwks_url: str = _setting(
        "JWT_JWKS_URL", "", "URL of the token issuer's public keys (JWKS); comma-separated for several issuers"
    )
    jwt_algorithms: str = _setting(
        "JWT_ALGORITHMS",
        "RS256",
        f"accepted signature algorithms of issuers, comma-separated: {', '.join(JWT_ALGORITHMS)}",
        check=lambda names: bool(_names(names)) and set(_names(names)) <= set(JWT_ALGORITHMS),
        must=f"among {', '.join(JWT_ALGORITHMS)}",
    )
    jwt_audience: str = _setting("JWT_AUDIENCE", "", "required audience of tokens; empty: any")
    jwt_issuer: str = _setting(
        "JWT_ISSUER",
        "",
        "accepted issuers of tokens, comma-separated; empty: any; with several URLs of keys, the issuer of each in the "
        "same order",
    )
    jwt_leeway_s: float = _setting(
        "JWT_LEEWAY_S", 10.0, "tolerated clock skew of an issuer, in seconds", check=_not_negative, must="0 or more"
    )
    admin_token: str = _secret(
        "ADMIN_TOKEN", "bearer token of an administrator, in addition to tokens with the scope admin"
    )
    rate_limit_user: str = _setting(
        "RATE_LIMIT_USER", "600/minute", "rate limit per user, or off", check=_is_rate, must=_RATE_MUST
    )
    rate_limit_address: str = _setting(
        "RATE_LIMIT_ADDRESS", "3000/minute", "rate limit per IP address, or off", check=_is_rate, must=_RATE_MUST
    )
    cors_origins: str = _setting(
        "CORS_ORIGINS", "", "origins allowed by CORS, comma-separated, such as https://app.example; empty: none"
    )
    trusted_proxies: str = _setting(
        "TRUSTED_PROXIES", "127.0.0.1", "IP addresses of proxies whose X-Forwarded-For is trusted, comma-separated"
    )
    log_requests: bool = _setting("LOG_REQUESTS", False, "whether to log each completed request, without its user")
    audit_reads: bool = _setting("AUDIT_READS", True, "whether to record each served feed on the topic audits")
    api_max_candidates: int = _setting(
        "API_MAX_CANDIDATES",
        500,
        "maximum number of items in a re-rank",
        check=lambda count: 1 <= count <= LIST_ITEMS,
        must=f"from 1 to {LIST_ITEMS}",
    )
    api_rerank_timeout_s: float = _setting(
        "API_RERANK_TIMEOUT_S", 2.0, "maximum time for which a re-rank waits for a worker, in seconds", check=_positive
    )
    location_resolution: int = _setting(
        "LOCATION_RESOLUTION",
        7,
        "H3 resolution to which location pings are coarsened (7: about 5 km²)",
        check=lambda value: 0 <= value <= 15,
        must="from 0 to 15",
    )

    expected_roles: str = _setting(
        "EXPECTED_ROLES",
        "",
        "roles that `/health` and `millrace status` report when they are missing, comma-separated; empty: the roles of"
        " the local stack, and roles that ran within the last day",
    )

    default_timezone: str = _setting(
        "DEFAULT_TIMEZONE",
        "UTC",
        "time zone of users without one in their profile",
        check=lambda name: zone_named(name) is not None,
        must="the IANA name of a time zone",
    )
    trigger_schedule: str = _setting(
        "TRIGGER_SCHEDULE",
        "fri 17:00 friday-evening, sat 09:00 saturday-morning",
        "times of prefetches in the user's local time: weekday or daily, HH:MM and the reason; or off",
        check=lambda table: table == "off" or all(_SLOT.fullmatch(slot.strip()) for slot in table.split(",")),
        must="like `fri 17:00 friday-evening, daily 07:30 morning`, or off",
    )
    trigger_inactive_days: float = _setting(
        "TRIGGER_INACTIVE_DAYS",
        14.0,
        "days without an event after which a user gets no more scheduled prefetches",
        check=_positive,
    )
    trigger_window_s: float = _setting(
        "TRIGGER_WINDOW_S",
        5.0,
        "seconds within which a user's triggers of the same kind are merged",
        check=_not_negative,
        must="0 or more",
    )
    geofence_rings: int = _setting(
        "GEOFENCE_RINGS",
        2,
        "distance in H3 cells from the last location at which a new one counts at once",
        check=_positive,
    )
    geofence_dwell_s: float = _setting(
        "GEOFENCE_DWELL_S",
        600.0,
        "seconds away from the last location after which a nearer cell counts as a new one, too",
        check=_positive,
    )
    geofence_city_km: float = _setting(
        "GEOFENCE_CITY_KM",
        30.0,
        "minimum distance in km at which a new location counts as another city",
        check=_positive,
    )

    feed_ttl_days: float = _setting(
        "FEED_TTL_DAYS",
        30.0,
        "days after which a feed without updates expires; 0: never",
        check=lambda value: value >= 0,
        must="0 or more",
    )
    max_recommendations: int = _setting("MAX_RECOMMENDATIONS", 50, "number of items in a feed", check=_positive)
    out_of_stock: str = _setting(
        "OUT_OF_STOCK",
        HIDE,
        "treatment of items that are out of stock: hide them, or rank them last",
        check=lambda name: name in {HIDE, "last"},
        must="hide or last",
    )
    allow_repeat_items: bool = _setting(
        "ALLOW_REPEAT_ITEMS",
        False,
        "whether to recommend items again after an interaction (useful for restaurants, not for films)",
    )
    cold_start_threshold: int = _setting(
        "COLD_START_THRESHOLD",
        5,
        "interactions after which the video engine's feed is personal and the user's group has half its weight",
        check=lambda value: value >= 0,
    )
    trending_decay_rate: float = _setting(
        "TRENDING_DECAY_RATE",
        0.95,
        "share of an item's trend that remains after an hour",
        check=_share,
        must="in (0, 1]",
    )
    popularity_half_life_days: float = _setting(
        "POPULARITY_HALF_LIFE_DAYS", 30.0, "half-life of popularity in days", check=_positive
    )
    affinity_half_life_days: float = _setting(
        "AFFINITY_HALF_LIFE_DAYS", 30.0, "half-life of a user's affinities in days", check=_positive
    )
    cooccurrence_half_life_days: float = _setting(
        "COOCCURRENCE_HALF_LIFE_DAYS", 60.0, "half-life of item-to-item co-occurrence in days", check=_positive
    )
    diversity_cap: float = _setting(
        "DIVERSITY_CAP",
        0.7,
        "maximum share of one category in any ten consecutive items of a feed",
        check=_share,
        must="in (0, 1]",
    )
    diversity_threshold: float = _setting(
        "DIVERSITY_THRESHOLD",
        0.3,
        "default of the minimum share of topics in which the results of POST /personalize differ",
        check=lambda share: 0 <= share <= 1,
        must="in [0, 1]",
    )

    rating_scale: float = _setting(
        "RATING_SCALE",
        5.0,
        "maximum rating; higher ones are refused",
        check=lambda scale: 0 < scale <= RATING_MAX,
        must=f"above 0 and at most {RATING_MAX:g}",
    )
    event_max_age_days: float = _setting(
        "EVENT_MAX_AGE_DAYS",
        3_650.0,
        "maximum age of an event in days; the API refuses older ones",
        check=_positive,
        must="above 0",
    )
    similarity_threshold: float = _setting(
        "SIMILARITY_THRESHOLD",
        0.3,
        "minimum similarity for items to be called similar",
        check=lambda share: 0 <= share <= 1,
        must="in [0, 1]",
    )

    api_base_url: str = _setting(
        "API_BASE_URL", "https://api.socialverseapp.com", "URL of the external API that videos are collected from"
    )
    flic_token: str = _secret(
        "FLIC_TOKEN",
        "token of the external API, also required from callers of the collection endpoints; empty: these are disabled",
    )
    collect_requests_per_s: float = _setting(
        "COLLECT_REQUESTS_PER_S", 2.0, "maximum number of requests per second to the external API", check=_positive
    )
    collect_timeout_s: float = _setting(
        "COLLECT_TIMEOUT_S", 30.0, "maximum wait for a page of the external API, in seconds", check=_positive
    )
    collect_query: str = _setting(
        "COLLECT_QUERY", "", "additional query parameters for the external API, as name=value&name=value"
    )
    collect_interval_s: float = _setting(
        "COLLECT_INTERVAL_S",
        0.0,
        "seconds between collections of all lists; 0: only on request",
        check=_not_negative,
        must="0 or more",
    )

    trainer_batch_events: int = _setting(
        "TRAINER_BATCH_EVENTS",
        50,
        "events that the trainer processes before it yields to other tasks",
        check=_positive,
    )
    model_publish_interval_s: float = _setting(
        "MODEL_PUBLISH_INTERVAL_S",
        5.0,
        "seconds between publications of weights learned online; 0: only full fits change the weights",
        check=_not_negative,
        must="0 or more",
    )
    model_fit_interval_s: float = _setting(
        "MODEL_FIT_INTERVAL_S",
        3_600.0,
        "seconds between fits of the model to the newest events; 0: only on request",
        check=_not_negative,
        must="0 or more",
    )
    model_full_fit_interval_s: float = _setting(
        "MODEL_FULL_FIT_INTERVAL_S",
        86_400.0,
        "seconds between full fits to all events; 0: only on request",
        check=_not_negative,
        must="0 or more",
    )
    model_fit_events: int = _setting(
        "MODEL_FIT_EVENTS", 200_000, "number of newest events for fits between full fits", check=_positive
    )
    model_promotion_tolerance: float = _setting(
        "MODEL_PROMOTION_TOLERANCE",
        0.02,
        "share of NDCG@10 by which a new fit may be worse than the version in service",
        check=lambda share: 0 <= share < 1,
        must="in [0, 1)",
    )
    model_artifacts_kept: int = _setting(
        "MODEL_ARTIFACTS_KEPT", 10, "number of model versions to keep under MILLRACE_HOME/models", check=_positive
    )
    item_item_model: str = _setting(
        "ITEM_ITEM_MODEL", "ease", "model of the item-to-item weights, by its name in docs/models.md"
    )
    collaborative_factors: int = _setting(
        "COLLABORATIVE_FACTORS", 100, "number of factors per item, if ITEM_ITEM_MODEL is als", check=_positive
    )
    collaborative_regularization: float = _setting(
        "COLLABORATIVE_REGULARIZATION", 0.01, "regularization of the factors, if ITEM_ITEM_MODEL is als", check=_positive
    )
    embedding_dim: int = _setting(
        "EMBEDDING_DIM",
        128,
        "dimension of user and item embeddings, if ITEM_ITEM_MODEL is dot-product or deep",
        check=_positive,
    )
    batch_size: int = _setting(
        "BATCH_SIZE",
        32,
        "events per training step, if ITEM_ITEM_MODEL is deep",
        check=lambda events: events >= 2,
        must="2 or more",
    )
    learning_rate: float = _setting("LEARNING_RATE", 0.001, "learning rate, if ITEM_ITEM_MODEL is deep", check=_positive)
    tfidf_max_features: int = _setting(
        "TFIDF_MAX_FEATURES",
        10_000,
        "maximum number of words for TF-IDF, in a shop and if ITEM_ITEM_MODEL is content",
        check=_positive,
    )
    content_embedding_dim: int = _setting(
        "CONTENT_EMBEDDING_DIM", 384, "dimension of text embeddings, if ITEM_ITEM_MODEL is content", check=_positive
    )

    fetch_categories: str = _setting(
        "FETCH_CATEGORIES",
        "places=21600,events=3600,music=1800,movies=1800,workshops=21600",
        "categories to prefetch, with the time in seconds for which an answer is cached",
        check=_are_seconds,
        must="category=seconds,category=seconds",
    )
    fetch_deadline_s: float = _setting(
        "FETCH_DEADLINE_S",
        600.0,
        "deadline of a fetch in seconds; until then further triggers for the same content are merged with it",
        check=_positive,
    )
    fetch_location_resolution: int = _setting(
        "FETCH_LOCATION_RESOLUTION",
        5,
        "H3 resolution of the locations for which content is fetched and cached (5: about 250 km²)",
        check=lambda value: 0 <= value <= 15,
        must="from 0 to 15",
    )
    nearby_radius_km: float = _setting(
        "NEARBY_RADIUS_KM", 50.0, "maximum distance in km between a user and items tied to a location", check=_positive
    )
    prompt_fields: str = _setting(
        "PROMPT_FIELDS",
        "where,when,interests,keywords,liked,muted,demographics,travel_history,relationship_status",
        "facts about a user that prompts may contain; each prompt uses those that it needs",
    )
    text_encoder: str = _setting(
        "TEXT_ENCODER",
        "subwords",
        "encoder of texts for the catalog search: subwords, or minilm with the extra `text`",
        check=lambda name: name in {"subwords", "minilm"},
        must="subwords or minilm",
    )

    shop_clicked_weight: float = _setting(
        "SHOP_CLICKED_WEIGHT", 0.5, "weight of products similar to clicked ones on a shop's home", check=_not_negative
    )
    shop_searched_weight: float = _setting(
        "SHOP_SEARCHED_WEIGHT", 0.4, "weight of products that match the last searches", check=_not_negative
    )
    shop_diverse_weight: float = _setting(
        "SHOP_DIVERSE_WEIGHT", 0.1, "weight of products from other categories", check=_not_negative
    )
    shop_inactive_days: float = _setting(
        "SHOP_INACTIVE_DAYS",
        30.0,
        "days after the last click or search after which a home is not personal any more",
        check=_positive,
    )
    shop_fit_interval_s: float = _setting(
        "SHOP_FIT_INTERVAL_S",
        86_400.0,
        "seconds between fits of product similarity and association rules",
        check=_positive,
    )

    anthropic_api_key: str = _secret(
        "ANTHROPIC_API_KEY", "key of Claude's API, for LLM_PROVIDER anthropic; empty: no language model is used"
    )
    aws_access_key_id: str = _secret("AWS_ACCESS_KEY_ID", "access key for Amazon Bedrock")
    aws_secret_access_key: str = _secret("AWS_SECRET_ACCESS_KEY", "secret of the access key for Amazon Bedrock")
    aws_region: str = _setting("AWS_REGION", "us-east-1", "region of Amazon Bedrock")
    llm_provider: str = _setting(
        "LLM_PROVIDER",
        "anthropic",
        "provider of Claude: anthropic or bedrock",
        check=lambda name: name in {"anthropic", "bedrock"},
        must="anthropic or bedrock",
    )
    llm_base_url: str = _setting("LLM_BASE_URL", "", "URL of the provider's API; empty: the provider's own")
    llm_model: str = _setting("LLM_MODEL", "claude-haiku-4-5", "the provider's name of the language model")
    llm_timeout_s: float = _setting("LLM_TIMEOUT_S", 20.0, "maximum wait for one attempt, in seconds", check=_positive)
    llm_deadline_s: float = _setting(
        "LLM_DEADLINE_S", 60.0, "maximum wait for an answer with all retries and pauses, in seconds", check=_positive
    )
    llm_max_retries: int = _setting(
        "LLM_MAX_RETRIES",
        2,
        "maximum number of retries after 429, 5xx or no response",
        check=_not_negative,
        must="0 or more",
    )
    llm_concurrency: int = _setting(
        "LLM_CONCURRENCY", 8, "maximum number of concurrent questions, per process", check=_positive
    )
    llm_breaker_failures: int = _setting(
        "LLM_BREAKER_FAILURES",
        5,
        "consecutive failures after which the circuit breaker blocks calls to the provider",
        check=_positive,
    )
    llm_breaker_cooldown_s: float = _setting(
        "LLM_BREAKER_COOLDOWN_S", 30.0, "seconds until a blocked provider is tried again", check=_positive
    )
    llm_answer_ttl_s: float = _setting(
        "LLM_ANSWER_TTL_S", 86_400.0, "time for which answers are cached, in seconds", check=_positive
    )
    llm_budget_usd: float = _setting(
        "LLM_BUDGET_USD", 5.0, "budget per day (UTC) in dollars", check=_not_negative, must="0 or more"
    )
    llm_budget_category_usd: float = _setting(
        "LLM_BUDGET_CATEGORY_USD",
        2.0,
        "budget per day for one category, in dollars",
        check=_not_negative,
        must="0 or more",
    )
    llm_budget_user_usd: float = _setting(
        "LLM_BUDGET_USER_USD", 0.25, "budget per day for one user, in dollars", check=_not_negative, must="0 or more"
    )
    llm_price_input_usd: float = _setting(
        "LLM_PRICE_INPUT_USD", 1.0, "price of a million input tokens in dollars", check=_not_negative, must="0 or more"
    )
    llm_price_output_usd: float = _setting(
        "LLM_PRICE_OUTPUT_USD",
        5.0,
        "price of a million output tokens in dollars",
        check=_not_negative,
        must="0 or more",
    )
    llm_price_cache_write_usd: float = _setting(
        "LLM_PRICE_CACHE_WRITE_USD",
        1.25,
        "price of a million tokens written to the provider's prompt cache, in dollars",
        check=_not_negative,
        must="0 or more",
    )
    llm_price_cache_read_usd: float = _setting(
        "LLM_PRICE_CACHE_READ_USD",
        0.1,
        "price of a million tokens read from the provider's prompt cache, in dollars",
        check=_not_negative,
        must="0 or more",
    )

    ml_score_weight: float = _setting(
        "ML_SCORE_WEIGHT",
        0.6,
        "weight of the ranking's score when it is combined with the language model's",
        check=_not_negative,
        must="0 or more",
    )
    llm_score_weight: float = _setting(
        "LLM_SCORE_WEIGHT", 0.4, "weight of the language model's score", check=_not_negative, must="0 or more"
    )
    llm_score_items: int = _setting(
        "LLM_SCORE_ITEMS", 20, "number of top items of a feed that the language model scores", check=_positive
    )
    llm_score_interval_s: float = _setting(
        "LLM_SCORE_INTERVAL_S",
        60.0,
        "minimum time between two requests for a user's scores, in seconds",
        check=_not_negative,
        must="0 or more",
    )
    llm_scores_ttl_s: float = _setting(
        "LLM_SCORES_TTL_S", 3_600.0, "time for which the language model's scores are valid, in seconds", check=_positive
    )

    push_value_threshold: float = _setting(
        "PUSH_VALUE_THRESHOLD",
        1.25,
        "how far a new item must stand out in a feed for a push, in units of the usual lead in that user's feeds",
        check=_not_negative,
        must="0 or more",
    )
    push_item_max_age_hours: float = _setting("PUSH_ITEM_MAX_AGE_HOURS", 48.0, "maximum age of a new item in hours", check=_positive)
    push_daily_cap: int = _setting(
        "PUSH_DAILY_CAP", 3, "maximum number of pushes to a user in 24 hours", check=_positive
    )
    push_max_delay_hours: float = _setting(
        "PUSH_MAX_DELAY_HOURS",
        12.0,
        "maximum time for which a push waits for the end of quiet hours or for acceptance, in hours",
        check=_positive,
    )
    fcm_service_account: str = _secret(
        "FCM_SERVICE_ACCOUNT", "key of a service account as JSON; empty: pushes are decided but not sent"
    )
    fcm_base_url: str = _setting("FCM_BASE_URL", "", "URL of FCM's HTTP v1 API; empty: Google's own")
    fcm_timeout_s: float = _setting("FCM_TIMEOUT_S", 10.0, "maximum wait for FCM, in seconds", check=_positive)
    fcm_concurrency: int = _setting(
        "FCM_CONCURRENCY", 8, "maximum number of concurrent pushes, per process", check=_positive
    )

    commit_interval_s: float = _setting("COMMIT_INTERVAL_S", 1.0, "seconds between checkpoints", check=_positive)
    batch_records: int = _setting("BATCH_RECORDS", 1_000, "maximum number of records in a micro-batch", check=_positive)
    batch_bytes: int = _setting("BATCH_BYTES", 4 << 20, "maximum size of a micro-batch in bytes", check=_positive)
    batch_wait_ms: int = _setting("BATCH_WAIT_MS", 20, "maximum wait to fill a micro-batch, in ms", check=_positive)
    max_in_flight_records: int = _setting(
        "MAX_IN_FLIGHT_RECORDS",
        20_000,
        "maximum number of records in flight per partition before it is paused",
        check=_positive,
    )
    worker_id: str = _setting(
        "WORKER_ID", "0", "name of this worker, and of the folder of its tables under MILLRACE_HOME/worker"
    )
    worker_store: str = _setting("WORKER_STORE", "rocksdb", "storage of tables: rocksdb or memory")

    @property
    def hides_sold_out(self) -> bool:
        """Say whether to exclude items that are out of stock."""
        return self.out_of_stock == HIDE

    @property
    def is_development(self) -> bool:
        """Say whether this is a development environment."""
        return self.environment == "development"

    @property
    def jwt_algorithm_list(self) -> list[str]:
        """Return the accepted signature algorithms of issuers."""
        return _names(self.jwt_algorithms)

    @property
    def jwt_issuer_list(self) -> list[str]:
        """Return the accepted issuers of tokens."""
        return _names(self.jwt_issuer)

    @property
    def jwt_jwks_url_list(self) -> list[str]:
        """Return the URLs of the issuers' public keys."""
        return _names(self.jwt_jwks_url)

    @property
    def is_secured(self) -> bool:
        """Say whether bearer tokens are required and rate limits enforced."""
        return not self.is_development if self.api_security == "auto" else self.api_security == "on"


def read(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from an environment, by default that of the process.

    Raises:
        SettingsError: some settings are invalid; it lists all of them.
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
            quoted_value = repr(raw) if spec.repr else "***"
            problems.append(
                f"{name}={quoted_value}: must be {spec.metadata['must'] or 'positive'} ({spec.metadata['doc']})"
            )
            continue
        values[spec.name] = value
    settings = replace(Settings(), **values)
    addresses, issuers = len(settings.jwt_jwks_url_list), len(settings.jwt_issuer_list)
    if addresses > 1 and addresses != issuers:
        problems.append(f"JWT_ISSUER: must name the issuer of each of the {addresses} addresses of JWT_JWKS_URL")
    if problems:
        raise SettingsError(problems)
    return settings


def to_env(settings: Settings) -> dict[str, str]:
    """Return an environment that represents these settings, independent of the working directory."""
    values = {spec.metadata["env"]: getattr(settings, spec.name) for spec in fields(Settings)}
    return {
        name: str(value.expanduser().resolve()) if isinstance(value, Path) else _text(value)
        for name, value in values.items()
    }


def unset(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without our settings, so that servers do not inherit our secrets."""
    names = {spec.metadata["env"] for spec in fields(Settings)}
    return {name: value for name, value in env.items() if name not in names}


def masked(url: str) -> str:
    """Return a URL with its password masked."""
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
