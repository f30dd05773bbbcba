"""Feeds ranked again from history: events are folded by the pure cores, under the present or other settings.

The features of users and the statistics of items are those of the end of the span; private statistics are the present
ones. The catalogue, the links between
items, the weights and the experiments are the present ones, since their topics hold no history.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from evaluation.history.history_fold import EventHistory, HistoryFold
from infra.analytics.relation import TimeSpan
from infra.kafka.consumer import partitions_of
from infra.kafka.readers.record_window import OnReadProgress, WindowReader
from infra.kafka.registry import Registry
from infra.redis.stores.feed_store import feed_at
from infra.settings import Settings
from models.blend.blender import Blender
from schemas.types import Features, Feed
from streams.core.item.embedding_record import without_embedding
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import rank, stream_time_ms
from streams.runtime.arm_params import ExperimentParams, with_arms
from streams.runtime.core_params import signal_params, user_params
from streams.runtime.decode import Decoder
from streams.runtime.ranking_inputs import read_global_tables
from topics.topic import FEATURES


@dataclass(frozen=True, slots=True)
class FoldedHistory:
    """The states at the end of a span, for each of several settings."""

    folds: list[HistoryFold]
    """One for each of the settings, in their order."""
    users: list[str]
    """Users whose features changed within the span, in the order of their first change there."""
    event_count: int
    """Events folded from the beginning of the topics on."""
    took_s: float


@dataclass(frozen=True, slots=True)
class Feeds:
    """Feeds of a time under some settings."""

    by_user: dict[str, Feed]
    took_s: float


async def fold_history(
    registry: Registry,
    reader: WindowReader,
    several_settings: list[Settings],
    *,
    span: TimeSpan,
    user_ids: Collection[str] = (),
) -> FoldedHistory:
    """Fold all events up to the end of a span.

    Args:
        registry: Decodes the records.
        reader: Reads the topics.
        several_settings: The settings to fold under.
        span: Append times within which a user must have changed to be ranked.
        user_ids: The users to rank; by default all of these.
    """
    history = EventHistory(registry, reader)
    labels = await history.labels()
    folds = [HistoryFold(labels, user_params(one), signal_params(one)) for one in several_settings]
    users: dict[str, None] = {}
    event_count, took_s = 0, 0.0
    async for events in history.events(until_ms=span.until_ms):
        began_s = time.perf_counter()
        for record, value in events:
            is_changed = [fold.apply(record, value) for fold in folds]
            if is_changed[0] and record.timestamp >= (span.from_ms or 0):
                users[(record.key or b"").decode()] = None
        event_count += len(events)
        took_s += time.perf_counter() - began_s
    wanted_users = [user_id for user_id in users if not user_ids or user_id in user_ids]
    return FoldedHistory(folds, wanted_users, event_count, took_s)


async def rank_history(
    settings: Settings,
    registry: Registry,
    history: FoldedHistory,
    several_settings: list[Settings],
    *,
    at_ms: int,
    on_progress: OnReadProgress,
) -> list[Feeds]:
    """Rank the users of a history under each of several settings.

    Args:
        settings: The settings of the workers.
        registry: The schema registry.
        history: The states, folded under the same settings.
        several_settings: The settings to rank under.
        at_ms: Time of the ranking and of the reading, in ms since the epoch.
        on_progress: Called with the offsets of the global tables passed and to pass.
    """
    experiments = ExperimentParams(settings)
    catalog, blender, _ = await read_global_tables(settings, registry, experiments=experiments, on_progress=on_progress)
    return [
        _rank(
            ExperimentParams(one, experiments.table),
            fold,
            catalog,
            blender,
            history.users,
            at_ms=at_ms,
            has_private_stats=settings.private_statistics_epsilon > 0,
        )
        for one, fold in zip(several_settings, history.folds, strict=True)
    ]


async def live_features(registry: Registry, reader: WindowReader) -> dict[str, Features]:
    """Return the newest published features of each user."""
    decoder, newest = Decoder(FEATURES, registry, None, stage="history"), dict[str, Features]()
    async for records in reader.forwards(await reader.window(partitions_of(FEATURES))):
        newest |= {features.user_id: features for _, features in await decoder.decode(records)}
    return newest


def equal_features(fold: HistoryFold, live: Mapping[str, Features], users: Collection[str]) -> tuple[int, int]:
    """Return how many users have exactly the features that were published, and of how many that can be said.

    It can be said of users without a change after the history. Embeddings are not compared: they depend on those of
    items at that moment.
    """
    pairs = [(fold.features(user_id), live[user_id]) for user_id in users if user_id in live]
    comparable = [(features, newest) for features, newest in pairs if features.version >= newest.version]
    return sum(features == without_embedding(newest) for features, newest in comparable), len(comparable)


def _rank(
    experiments: ExperimentParams,
    fold: HistoryFold,
    catalog: CatalogSnapshot,
    blender: Blender,
    users: Collection[str],
    *,
    at_ms: int,
    has_private_stats: bool,
) -> Feeds:
    began_s = time.perf_counter()
    if not has_private_stats:
        catalog.forget_stats()
        for stats in fold.all_stats():
            catalog.apply_stats(stats)
    while catalog.is_stale:
        catalog.refresh()
    feeds: dict[str, Feed] = {}
    for user_id in users:
        features = fold.features(user_id)
        arm_params = experiments.of(features, at_ms=stream_time_ms(features, catalog))
        feed = with_arms(rank(features, catalog, blender, arm_params.rank, now_ms=at_ms), arm_params.arms)
        feeds[user_id] = feed_at(feed, at_ms)
    return Feeds(feeds, time.perf_counter() - began_s)
