"""Rows of the history: feeds as they were served, items shown, and their outcomes. A row begins with its time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.timestamp import utc_time
from infra.redis.stores.feed_codec import pack
from schemas.types import EarlyOutcome, Feed, Impression, Outcome, ShadowComparison

FEED_COLUMNS = (
    *("generated_at", "user_id", "features_version", "model", "items", "sources", "feed", "scores", "ml_scores"),
    "llm_scores",
)
IMPRESSION_COLUMNS = (
    *("occurred_at", "user_id", "event_id", "number", "item_id", "position", "propensity", "surface", "request_id"),
)

OUTCOME_COLUMNS = (
    *("shown_at", "user_id", "outcome_id", "request_id", "item_id", "place", "surface", "source", "category", "model"),
    *("policy", "propensity", "arms", "features_version", "closed_at", "clicks", "likes", "dislikes", "skips"),
    *("conversions", "dwell_ms", "is_reported"),
)
EARLY_OUTCOME_COLUMNS = (
    *("shown_at", "user_id", "outcome_id", "item_id", "place", "category", "arms"),
    *("clicks", "dislikes", "skips", "conversions", "dwell_ms"),
)
SHADOW_COLUMNS = (
    *("changed_at", "user_id", "experiment_id", "arm", "features_version", "compared_at", "overlap"),
    *("rank_biased_overlap", "is_first_changed", "score_difference", "items", "policy", "shown_sources", "sources"),
    *("shown_categories", "categories", "shown_ranking_ms", "ranking_ms"),
)


def feed_rows(feed: Feed) -> Iterator[tuple[Any, ...]]:
    """Yield the row of a feed."""
    items, sources = feed.items, feed.sources
    if feed.others is not None:
        items, sources = items + feed.others.items, sources + feed.others.sources
    llm_scores = [feed.llm_scores.get(item) for item in feed.items] if feed.llm_scores else []
    yield (
        *(utc_time(feed.generated_at), feed.user_id, feed.features_version, feed.model, items, sources, pack(feed)),
        *(feed.scores, feed.ml_scores, llm_scores),
    )


def impression_rows(event: Impression) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each item shown."""
    for number, item in enumerate(event.items):
        yield (
            *(utc_time(event.occurred_at), event.user_id, event.event_id, number),
            *(item.item_id, item.position, item.propensity, event.surface, event.request_id),
        )


def outcome_row(outcome: Outcome) -> tuple[Any, ...]:
    """Return the row of an outcome."""
    times = {"shown_at": utc_time(outcome.shown_at), "closed_at": utc_time(outcome.closed_at)}
    return tuple(times[name] if name in times else getattr(outcome, name) for name in OUTCOME_COLUMNS)


def shadow_row(comparison: ShadowComparison) -> tuple[Any, ...]:
    """Return the row of a comparison with a shadow."""
    times = {
        "changed_at": utc_time(comparison.features_version),
        "compared_at": utc_time(comparison.compared_at),
    }
    return tuple(times[name] if name in times else getattr(comparison, name) for name in SHADOW_COLUMNS)


def early_outcome_row(outcome: EarlyOutcome) -> tuple[Any, ...]:
    """Return the row of an early outcome."""
    return (utc_time(outcome.shown_at), *(getattr(outcome, name) for name in EARLY_OUTCOME_COLUMNS[1:]))
