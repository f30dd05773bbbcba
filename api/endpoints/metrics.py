"""What the API counts and measures, and what every role says of itself, for Prometheus."""

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
from infra.redis import event_rates
from infra.redis.connection import StoreError

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGES_S = (0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 604_800)
_ACTIVE_S, _MOST_ACTIVE = 300.0, 100_000
_UNMEASURED = frozenset({"role", "pid", "started_at", "ready_at"})


class ActiveUserCounter:
    """Users who were seen lately."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._last_seen_s: dict[str, float] = {}
        """When each was seen last, longest ago first."""

    def see(self, user_id: str) -> None:
        """Note a user."""
        self._last_seen_s.pop(user_id, None)
        self._last_seen_s[user_id] = self._clock_s()
        if len(self._last_seen_s) > _MOST_ACTIVE:
            del self._last_seen_s[next(iter(self._last_seen_s))]

    def count(self) -> float:
        """Return how many there are."""
        since_s = self._clock_s() - _ACTIVE_S
        while self._last_seen_s and (longest := next(iter(self._last_seen_s))) and self._last_seen_s[longest] < since_s:
            del self._last_seen_s[longest]
        return len(self._last_seen_s)


Signs = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""Reads the signs of life of all roles that run."""


async def no_signs() -> Sequence[Mapping[str, Any]]:
    """Return the signs of life where no role runs."""
    return ()


class Metrics:
    """The meters of one app, in a registry of their own."""

    def __init__(self, signs: Signs = no_signs) -> None:
        self._signs = signs
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "millrace_http_requests",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "millrace_http_request_duration_seconds",
            "Time from the first byte in to the last byte out.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.published = Counter(
            "millrace_api_events_published", "Events that the broker acknowledged.", ("topic",), registry=self.registry
        )
        self.publish_failures = Counter(
            "millrace_api_publish_failures", "Publishes that it did not.", ("topic",), registry=self.registry
        )
        self.feed_reads = Counter(
            "millrace_feed_reads", "Feeds read: own, fallback, missing.", ("result",), registry=self.registry
        )
        self.feed_age = Histogram(
            "millrace_feed_age_at_read_seconds",
            "Age of a user's own feed when it was read.",
            buckets=_AGES_S,
            registry=self.registry,
        )
        self.cached_items = Counter(
            "millrace_item_cache",
            "Items looked up in the process's cache: hit, miss.",
            ("result",),
            registry=self.registry,
        )
        self.personalizations = Counter(
            "personalization_requests", "Requests to POST /personalize.", registry=self.registry
        )
        self.personalization_duration = Histogram(
            "personalization_request_duration_seconds",
            "How long they took.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.recommendations = Counter(
            "personalization_recommendations", "Recommendations they were answered with.", registry=self.registry
        )
        self.active = ActiveUserCounter()
        active_users = Gauge(
            "personalization_active_users", "Users for whom one came within five minutes.", registry=self.registry
        )
        active_users.set_function(self.active.count)
        self.listeners = Gauge("millrace_feed_listeners", "Clients that follow a feed.", registry=self.registry)
        self.audits_lost = Counter(
            "millrace_audits_lost", "Audits for which there was no room.", registry=self.registry
        )
        self.limits_blind = Gauge(
            "millrace_rate_limits_blind",
            "1 while requests cannot be counted and are all let through.",
            registry=self.registry,
        )
        self.roles = Gauge(
            "millrace_role",
            "What roles say of themselves, over all processes: what waits for them, and what became of it.",
            ("role", "what"),
            registry=self.registry,
        )
        self.highest_rates = Gauge(
            "millrace_events_per_minute_highest",
            "The highest event rate of a user, and of an item, over about a minute.",
            ("of",),
            registry=self.registry,
        )
        self._ends: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that ended."""
        key = (method, route, status)
        meters = self._ends.get(key)
        if meters is None:  # a look-up by labels costs more than the rest of this
            meters = self._ends[key] = (self.requests.labels(method, route, str(status)), self.duration.labels(route))
        meters[0].inc()
        meters[1].observe(seconds)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return their declarations."""
        return [Endpoint("GET", "/metrics", self.show, scope="public", answers={200: "text/plain"})]

    async def show(self, request: Request) -> Response:
        """Answer with what was counted and measured, as Prometheus reads it; without Redis, not with what roles say."""
        self.roles.clear()
        self.highest_rates.clear()
        with suppress(StoreError):
            totals = Tally[tuple[str, str]]()
            signs = await self._signs()
            for sign in signs:
                totals.update({(sign["role"], what): number for what, number in _numbers(sign)})
            for (role, what), number in totals.items():
                self.roles.labels(role, what).set(number)
            rates = event_rates.merged(signs)
            for name, entries in (("user", rates.users), ("item", rates.items)):
                self.highest_rates.labels(name).set(entries[0].events_per_minute if entries else 0.0)
        return Response(generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _numbers(sign: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of a sign of life by name; a word counts as one of its kind."""
    for name, value in sign.items():
        if name in _UNMEASURED:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{within}{name}.")
        elif isinstance(value, str):
            yield f"{within}{name}.{value}", 1
        elif isinstance(value, int | float):
            yield f"{within}{name}", value
