"""Prometheus metrics of the API, and those that every role reports in its heartbeat."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from api.http.endpoint import Endpoint
from domain.experiment_results import ExperimentResults
from domain.timestamp import DAY_MS, HOUR_MS
from infra.redis import event_rates
from infra.redis.connection import StoreError
from infra.redis.metrics.click_rate_store import ClickRateStore, MemoryClickRateStore

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGES_S = (0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 604_800)
_ACTIVE_S, _MAX_ACTIVE = 300.0, 100_000
_MAX_SHADOW_ARMS = 100
"""Arms of shadows that are shown."""
_SHADOW_FIGURES = (
    *("rankings", "overlap", "rank_biased_overlap", "first_place_changes", "score_difference"),
    *("shown_ranking_ms", "ranking_ms"),
)
_UNMEASURED = frozenset({"role", "pid", "started_at", "reported_at", "ready_at"})


class ActiveUserCounter:
    """Counts the users with a request within the last five minutes."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._last_seen_s: dict[str, float] = {}
        """The time of each user's last request (s, monotonic clock), oldest first."""

    def add(self, user_id: str) -> None:
        """Record a request of a user."""
        self._last_seen_s.pop(user_id, None)
        self._last_seen_s[user_id] = self._clock_s()
        if len(self._last_seen_s) > _MAX_ACTIVE:
            del self._last_seen_s[next(iter(self._last_seen_s))]

    def count(self) -> float:
        """Return the number of active users."""
        since_s = self._clock_s() - _ACTIVE_S
        while self._last_seen_s and (longest := next(iter(self._last_seen_s))) and self._last_seen_s[longest] < since_s:
            del self._last_seen_s[longest]
        return len(self._last_seen_s)


HeartbeatReader = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""Reads the heartbeats of all running roles."""


async def no_heartbeats() -> Sequence[Mapping[str, Any]]:
    """Return no heartbeats."""
    return ()


ShadowReader = Callable[[], Awaitable[Sequence[ExperimentResults]]]
"""Reads the results of all running shadows."""


async def no_shadows() -> Sequence[ExperimentResults]:
    """Return no results."""
    return ()


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(
        self,
        heartbeats: HeartbeatReader = no_heartbeats,
        click_rates: ClickRateStore | None = None,
        shadows: ShadowReader = no_shadows,
    ) -> None:
        """Create the metrics.

        Args:
            heartbeats: Reads the heartbeats of all roles.
            click_rates: Figures of impressions and clicks; by default there are none.
            shadows: Reads the results of shadows.
        """
        self._heartbeats, self._click_rates = heartbeats, click_rates or MemoryClickRateStore()
        self._shadows = shadows
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "millrace_http_requests",
            "HTTP requests by method, route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "millrace_http_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its response.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.published_events = Counter(
            "millrace_api_events_published", "Events that the broker acknowledged.", ("topic",), registry=self.registry
        )
        self.publish_failures = Counter(
            "millrace_api_publish_failures",
            "Publish attempts that the broker did not acknowledge.",
            ("topic",),
            registry=self.registry,
        )
        self.feed_reads = Counter(
            "millrace_feed_reads", "Feed reads by result: own, fallback, missing.", ("result",), registry=self.registry
        )
        self.feed_age = Histogram(
            "millrace_feed_age_at_read_seconds",
            "Age of personalized feeds when read.",
            buckets=_AGES_S,
            registry=self.registry,
        )
        cached_items = Counter(
            "millrace_item_cache",
            "Look-ups in the process's item cache: hit, miss.",
            ("result",),
            registry=self.registry,
        )
        cached_feeds = Counter(
            "millrace_feed_cache",
            "Look-ups in the process's feed cache: hit, miss.",
            ("result",),
            registry=self.registry,
        )
        # Looking up a counter by its label costs more than counting.
        self._item_hits, self._item_misses = cached_items.labels("hit"), cached_items.labels("miss")
        self._feed_hits, self._feed_misses = cached_feeds.labels("hit"), cached_feeds.labels("miss")
        self._own_feeds = self.feed_reads.labels("own")
        self.personalizations = Counter(
            "personalization_requests", "Requests to POST /personalize.", registry=self.registry
        )
        self.personalization_duration = Histogram(
            "personalization_request_duration_seconds",
            "Duration of requests to POST /personalize.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.recommendations = Counter(
            "personalization_recommendations", "Recommendations returned by POST /personalize.", registry=self.registry
        )
        self.active = ActiveUserCounter()
        active_users = Gauge(
            "personalization_active_users",
            "Users with a request to POST /personalize within five minutes.",
            registry=self.registry,
        )
        active_users.set_function(self.active.count)
        self.queries = Histogram(
            "millrace_postgres_query_duration_seconds",
            "Time of a query to PostgreSQL, with its transaction and without the wait for a connection, by kind.",
            ("query",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.listeners = Gauge("millrace_feed_listeners", "Open feed streams.", registry=self.registry)
        self.audits_lost = Counter(
            "millrace_audits_lost", "Audit events lost because the buffer was full.", registry=self.registry
        )
        self.impressions_lost = Counter(
            "millrace_impressions_lost", "Logged impressions lost because the buffer was full.", registry=self.registry
        )
        self.rate_limits_degraded = Gauge(
            "millrace_rate_limits_blind",
            "1 while requests cannot be counted and all pass the rate limits.",
            registry=self.registry,
        )
        self.roles = Gauge(
            "millrace_role",
            "Figures from the roles' heartbeats, summed over all processes: pending and processed work.",
            ("role", "what"),
            registry=self.registry,
        )
        self.highest_rates = Gauge(
            "millrace_events_per_minute_highest",
            "The highest event rate of a user and of an item, averaged over about a minute.",
            ("of",),
            registry=self.registry,
        )
        labels = ("span", "by", "label")
        self.impressions = Gauge(
            "millrace_impressions",
            "Items shown within the last hour or day, by place, source, experiment arm, model and category.",
            labels,
            registry=self.registry,
        )
        self.clicked_impressions = Gauge(
            "millrace_clicked_impressions", "Those of them that were clicked.", labels, registry=self.registry
        )
        self.shadows = Gauge(
            "millrace_shadow",
            "Figures of the arms of running shadows within the last hour: rankings, and means over them.",
            ("experiment", "arm", "what"),
            registry=self.registry,
        )
        self._ends: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count_item_lookups(self, *, hits: int, misses: int) -> None:
        """Count look-ups in the item cache."""
        self._item_hits.inc(hits)
        if misses:
            self._item_misses.inc(misses)

    def count_feed_lookups(self, *, hits: int, misses: int) -> None:
        """Count look-ups in the feed cache."""
        self._feed_hits.inc(hits)
        if misses:
            self._feed_misses.inc(misses)

    def count_own_feed(self, age_ms: int) -> None:
        """Count a read of a user's own feed of this age."""
        self._own_feeds.inc()
        self.feed_age.observe(max(0.0, age_ms / 1000))

    def record_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a completed request.

        Args:
            method: The HTTP method.
            route: The declared path.
            status: The response's status.
            seconds: The duration.
        """
        key = (method, route, status)
        meters = self._ends.get(key)
        if meters is None:  # looking up metrics by labels costs more than the rest
            meters = self._ends[key] = (self.requests.labels(method, route, str(status)), self.duration.labels(route))
        meters[0].inc()
        meters[1].observe(seconds)

    def record_query(self, kind: str, seconds: float) -> None:
        """Count a query to PostgreSQL.

        Args:
            kind: What the query is for.
            seconds: The duration.
        """
        self.queries.labels(kind).observe(seconds)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [Endpoint("GET", "/metrics", self.show, scope="public", answers={200: "text/plain"})]

    async def show(self, request: Request) -> Response:
        """Return the metrics in the Prometheus text format; without those of the roles while Redis is unavailable."""
        self.roles.clear()
        self.highest_rates.clear()
        with suppress(StoreError):
            await self._show_click_rates()
        with suppress(StoreError):
            await self._show_shadows()
        with suppress(StoreError):
            totals = Tally[tuple[str, str]]()
            heartbeats = await self._heartbeats()
            for heartbeat in heartbeats:
                totals.update({(heartbeat["role"], what): number for what, number in _numbers(heartbeat)})
            for (role, what), number in totals.items():
                self.roles.labels(role, what).set(number)
            rates = event_rates.merged(heartbeats)
            for name, entries in (("user", rates.users), ("item", rates.items)):
                self.highest_rates.labels(name).set(entries[0].events_per_minute if entries else 0.0)
        return Response(generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _show_click_rates(self) -> None:
        for gauge in (self.impressions, self.clicked_impressions):
            gauge.clear()
        for span, span_ms in (("hour", HOUR_MS), ("day", DAY_MS)):
            rates = await self._click_rates.read(span_ms)
            counts = {("all", ""): (rates.impressions, rates.clicks)}
            counts |= {
                (dimension, one.label): (one.impressions, one.clicks)
                for dimension, labels in rates.by.items()
                for one in labels
            }
            for names, (impressions, clicks) in counts.items():
                self.impressions.labels(span, *names).set(impressions)
                self.clicked_impressions.labels(span, *names).set(clicks)

    async def _show_shadows(self) -> None:
        self.shadows.clear()
        arms = [
            (results.experiment_id, arm.name, arm.shadow.last_hour)
            for results in await self._shadows()
            for arm in results.arms
            if arm.shadow is not None
        ]
        for experiment_id, arm_name, figures in arms[:_MAX_SHADOW_ARMS]:
            for name in _SHADOW_FIGURES:
                value = getattr(figures, name)
                if value is not None:
                    self.shadows.labels(experiment_id, arm_name, name).set(value)


def _numbers(heartbeat: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of a heartbeat by dotted name; a string value counts 1 under its own name."""
    for name, value in heartbeat.items():
        if name in _UNMEASURED:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            yield f"{prefix}{name}.{value}", 1
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", value
