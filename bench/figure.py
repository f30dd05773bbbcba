"""Figures as lines, each with the limit it is held to or the peer it stands beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EVENTS_PER_S = 8_000
FRESHNESS_P99_MS = 1_000
READ_P99_MS = 20
BYTES_PER_USER = 2_048


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    value: str
    beside: str = ""


def figures(results: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the lines of whatever parts were measured."""
    for part, lines in _LINES.items():
        if part in results:
            yield from lines(results[part])


def _throughput(found: Mapping[str, float]) -> Iterator[Figure]:
    ours = found["millrace_eps"]
    yield Figure("throughput: millrace, whole path, one process", _per_s(ours, "events"), _at_least(ours, EVENTS_PER_S))
    for name, what in (("quix", "Quix Streams, decode + one state update"), ("raw", "confluent-kafka + fastavro only")):
        peer = found[f"{name}_eps"]
        yield Figure(f"  {what}", _per_s(peer, "events"), f"millrace is at {ours / peer:.2f} of it")


def _freshness(found: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for rate, latency in found.items():
        limit = _at_most(latency["p99_ms"], FRESHNESS_P99_MS, "ms") if rate == "200" else ""
        yield Figure(f"freshness at {int(rate):,} events/s: p50 / p95 / p99", _percentiles(latency), limit)


def _read(found: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    feed, bare = found["feed"], found["bare"]
    yield Figure("read GET /content, 32 connections", _per_s(feed["rps"], "requests"))
    yield Figure("  p50 / p95 / p99", _percentiles(feed), _at_most(feed["p99_ms"], READ_P99_MS, "ms"))
    ratio = f"GET /content is at {feed['rps'] / bare['rps']:.2f} of it"
    yield Figure("  a bare Starlette endpoint", _per_s(bare["rps"], "requests"), ratio)
    yield Figure("  p50 / p95 / p99", _percentiles(bare))


def _redis(found: Mapping[str, float]) -> Iterator[Figure]:
    size = found["bytes_per_user"]
    yield Figure(
        "Redis per user with a feed of 50 items", f"{size:,.0f} bytes", _at_most(size, BYTES_PER_USER, "bytes")
    )


def _restart(found: Mapping[str, float]) -> Iterator[Figure]:
    yield Figure("restart after kill -9, until feeds are fresh again", f"{found['seconds']:.1f} s")


_LINES: dict[str, Callable[[Any], Iterator[Figure]]] = {
    "throughput": _throughput,
    "freshness": _freshness,
    "read": _read,
    "redis": _redis,
    "restart": _restart,
}


def _per_s(value: float, what: str) -> str:
    return f"{value:,.0f} {what}/s"


def _percentiles(found: Mapping[str, float]) -> str:
    return " / ".join(f"{found[name]:,.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")) + " ms"


def _at_least(value: float, limit: float) -> str:
    return f"limit: at least {limit:,}{'' if value >= limit else ' — missed'}"


def _at_most(value: float, limit: float, unit: str) -> str:
    return f"limit: at most {limit:,} {unit}{'' if value <= limit else ' — missed'}"
