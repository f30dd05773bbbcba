"""Figures as lines of a table, each with its limit or a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EVENTS_PER_S = 8_000
FRESHNESS_P99_MS = 1_000
READ_P99_MS = 10
INTERACTIONS_PER_S, INTERACTION_P99_MS = 5_000, 20
COMPAT_P95_MS, COMPAT_PER_MINUTE = 150, 10_000
OPERATIONS_MS = {"health": 10, "interact": 50, "cached": 200, "cold": 800}
"""Times of operations in Context IQ's document."""
HIT_RATE, TRAINING_S = 0.8, 5
BYTES_PER_USER = 2_048
PREFETCH_RATIO = 1.2
RANKING_MS = 1
RECALL = 0.95
SIZE_SHARE = 0.1
SCALE_RATIO = 1.5
GROWTH_GB, LEARNING_US = 16, 100


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    value: str
    note: str = ""


def figures(results: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the lines of the measured cases."""
    for case, lines in _LINES.items():
        if case in results:
            yield from lines(results[case])


def _throughput(result: Mapping[str, float]) -> Iterator[Figure]:
    ours = result["millrace_eps"]
    yield Figure("throughput: millrace, whole path, one process", _per_s(ours, "events"), _at_least(ours, EVENTS_PER_S))
    for name, what in (("quix", "Quix Streams, decode + one state update"), ("raw", "confluent-kafka + fastavro only")):
        peer = result[f"{name}_eps"]
        yield Figure(f"  {what}", _per_s(peer, "events"), f"millrace is at {ours / peer:.2f} of it")


def _freshness(result: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for rate, latency in result.items():
        limit = _at_most(latency["p99_ms"], FRESHNESS_P99_MS, "ms") if rate == "200" else ""
        yield Figure(f"freshness at {int(rate):,} events/s: p50 / p95 / p99", _percentiles(latency), limit)


def _prefetch(result: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    in_flight, at_once = (result[how]["p99_ms"] / result["without"]["p99_ms"] for how in ("in_flight", "at_once"))
    limit = f"p99 {in_flight:.2f} times that; {_at_most(in_flight, PREFETCH_RATIO, 'times')}"
    yield Figure("freshness with nothing to fetch: p50 / p95 / p99", _percentiles(result["without"]))
    yield Figure("  with users' fetches in flight", _percentiles(result["in_flight"]), limit)
    yield Figure(
        "  with all of them at the model at once", _percentiles(result["at_once"]), f"p99 {at_once:.2f} times that"
    )


def _read(result: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    feed, bare = result["feed"], result["bare"]
    hits = f"{feed['hit_rate']:.0%} of the feeds were in the process's cache"
    yield Figure("read GET /content, 32 connections", _per_s(feed["rps"], "requests"), hits)
    yield Figure("  p50 / p95 / p99", _percentiles(feed), _at_most(feed["p99_ms"], READ_P99_MS, "ms"))
    ratio = f"GET /content is at {feed['rps'] / bare['rps']:.2f} of it"
    yield Figure("  a bare Starlette endpoint", _per_s(bare["rps"], "requests"), ratio)
    yield Figure("  p50 / p95 / p99", _percentiles(bare))


def _requests(result: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    interaction, health = result["interaction"], result["health"]
    rate = _at_least(interaction["rps"], INTERACTIONS_PER_S)
    yield Figure("POST /interaction, 32 connections", _per_s(interaction["rps"], "requests"), rate)
    limit = _at_most(interaction["p99_ms"], INTERACTION_P99_MS, "ms")
    yield Figure("  p50 / p95 / p99", _percentiles(interaction), limit)
    growth = f"{health['growth_kb']:,.1f} KB more memory each"
    yield Figure("GET /health, processor time", f"{health['cpu_ms']:.2f} ms", growth)


def _compat(result: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for name, latency in result.items():
        limit = _at_most(latency["p95_ms"], COMPAT_P95_MS, "ms at p95")
        yield Figure(f"{name} while events flow in: p50 / p95 / p99", _percentiles(latency), limit)
        times = 60 * latency["rps"] / COMPAT_PER_MINUTE
        yield Figure("  requests", _per_s(latency["rps"], "requests"), f"{times:.0f} times 10,000 a minute")


def _context_iq(result: Mapping[str, Any]) -> Iterator[Figure]:
    names = {
        "health": "GET /api/v1/health",
        "interact": "POST /api/v1/interact",
        "cached": "GET /api/v1/recommendations, cached",
        "cold": "GET /api/v1/recommendations, cold",
    }
    for operation, name in names.items():
        latency = result[operation]
        limit = _at_most(latency["p95_ms"], OPERATIONS_MS[operation], "ms at p95")
        yield Figure(f"{name}, one request after another: p50 / p95 / p99", _percentiles(latency), limit)
    hit_rate = result["hit_rate"]
    yield Figure(
        "  recommendations that are cached, of users who act", f"{hit_rate:.1%}", _at_least(hit_rate, HIT_RATE)
    )


def _training(result: Mapping[str, float]) -> Iterator[Figure]:
    names = {"fit_s": "a full fit", "network_s": "five epochs of the dot-product network"}
    for key, name in names.items():
        if key in result:
            figure, limit = f"{result[key]:.2f} s", _at_most(result[key], TRAINING_S, "s")
            yield Figure(f"training on {int(result['events']):,} interactions: {name}", figure, limit)


def _redis(result: Mapping[str, float]) -> Iterator[Figure]:
    size = result["bytes_per_user"]
    yield Figure(
        "Redis per user with a feed of 50 items", f"{size:,.0f} bytes", _at_most(size, BYTES_PER_USER, "bytes")
    )


def _restart(result: Mapping[str, float]) -> Iterator[Figure]:
    yield Figure("restart after kill -9, until feeds are fresh again", f"{result['seconds']:.1f} s")


def _ranking(result: Mapping[str, float]) -> Iterator[Figure]:
    limit = _at_most(result["ms_per_user"], RANKING_MS, "ms")
    yield Figure(f"ranking among {result['candidates']:,} candidates", f"{result['ms_per_user']:.2f} ms a user", limit)


def _scale(result: Mapping[str, float]) -> Iterator[Figure]:
    sizes = [int(name.removeprefix("ms_per_user_")) for name in result if name.startswith("ms_per_user_")]
    for items in sizes:
        own_ms = result[f"ms_per_user_{items}"]
        times = round(own_ms / result[f"ms_per_user_{sizes[0]}"], 2)
        note = _at_most(times, SCALE_RATIO, "times that")
        value = f"{own_ms:.2f} ms a user, {result[f'build_ms_{items}']:.2f} of them for candidates and features"
        yield Figure(f"ranking in a catalogue of {items:,} items", value, f"{times:.2f} times the first; {note}")
    recall, name = result["recall_at_10"], f"  recall@10 of candidates of {int(result['recall_items']):,} items"
    yield Figure(name, f"{recall:.3f}", _at_least(recall, RECALL))


def _index(result: Mapping[str, float]) -> Iterator[Figure]:
    recall = result["recall_at_100"]
    yield Figure(f"index of {result['items']:,} items: recall@100", f"{recall:.3f}", _at_least(recall, RECALL))
    times = f"{result['us_per_query']:,} µs a query, {result['us_per_item']:,} µs to add an item"
    yield Figure("  times", times)
    yield Figure("  memory per 100,000 items", _gb(result["items_100k_gb"]))


def _exploration(result: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for policy, figures in result.items():
        gain = f"{figures['gain']:.3f} ± {figures['error']:.3f} less"
        note = "" if policy == "none" else f"{gain}, and less in {figures['wins']} of {figures['worlds']} worlds"
        yield Figure(f"regret with exploration by {policy}", f"{figures['regret']:.3f} clicks a visit", note)


def _footprint(result: Mapping[str, float]) -> Iterator[Figure]:
    gb = {name: _gb(size) for name, size in result.items() if name.endswith("_gb")}
    yield Figure(
        "memory per 1,000,000 users: Redis + a worker's cache",
        f"{gb['users_1m_redis_gb']} + {gb['users_1m_cache_gb']}",
        f"{result['events_per_user']} events each; on disk, in the table: {gb['users_1m_table_gb']}",
    )
    yield Figure(
        "memory per 100,000 items: view + index",
        f"{gb['items_100k_view_gb']} + {gb['items_100k_index_gb']}",
        f"and all links that 10,000 items may have: {gb['links_10k_full_gb']}",
    )


_SIZES = {
    "user": "a user's state, encoded",
    "object": "a user's state, as an object",
    "links": "the rows of links",
}


def _sizing(result: Mapping[str, float]) -> Iterator[Figure]:
    for name, what in _SIZES.items():
        size, by_formula = result[f"{name}_bytes"], result[f"{name}_bytes_formula"]
        difference = by_formula / size - 1
        limit = f"limit: within {SIZE_SHARE:.0%}{'' if abs(difference) <= SIZE_SHARE else ' — missed'}"
        yield Figure(
            f"size of {what}", _bytes(size), f"by the formula {_bytes(by_formula)}, {difference:+.1%}; {limit}"
        )


def _growth(result: Mapping[str, float]) -> Iterator[Figure]:
    peak_gb, cost_us, late_us = (result[name] for name in ("peak_bytes", "us_per_event", "us_per_event_last_half"))
    yield Figure("memory of learning a long stream", _gb(peak_gb / 1e9), _at_most(peak_gb / 1e9, GROWTH_GB, "GB"))
    yield Figure("  growth over its last half", f"{result['last_half_growth']:+.0%}")
    limit = f"last half: {late_us:.0f} µs; {_at_most(cost_us, LEARNING_US, 'µs')}"
    yield Figure("learning one event, all stages", f"{cost_us:.0f} µs", limit)


def _workers(result: Mapping[str, float]) -> Iterator[Figure]:
    for stage in ("feed", "links"):
        one, two = result[f"{stage}_1_eps"], result[f"{stage}_2_eps"]
        yield Figure(f"{stage}: one worker / two", f"{one:,.0f} / {two:,.0f} events/s", f"{two / one:.2f} times")


_LINES: dict[str, Callable[[Any], Iterator[Figure]]] = {
    "ranking": _ranking,
    "scale": _scale,
    "growth": _growth,
    "exploration": _exploration,
    "index": _index,
    "sizing": _sizing,
    "throughput": _throughput,
    "workers": _workers,
    "freshness": _freshness,
    "prefetch": _prefetch,
    "read": _read,
    "requests": _requests,
    "context-iq": _context_iq,
    "training": _training,
    "compat": _compat,
    "redis": _redis,
    "footprint": _footprint,
    "restart": _restart,
}


def _per_s(value: float, what: str) -> str:
    return f"{value:,.0f} {what}/s"


def _bytes(value: float) -> str:
    return f"{value:,.0f} bytes" if value < 1e6 else f"{value / 1e6:,.0f} MB"


def _gb(value: float) -> str:
    return f"{value:.2f} GB"


def _percentiles(result: Mapping[str, float]) -> str:
    return " / ".join(f"{result[name]:,.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")) + " ms"


def _at_least(value: float, limit: float) -> str:
    return f"limit: at least {limit:,}{'' if value >= limit else ' — missed'}"


def _at_most(value: float, limit: float, unit: str) -> str:
    return f"limit: at most {limit:,} {unit}{'' if value <= limit else ' — missed'}"
