"""Inputs of one user's ranking, read from the topics of a running system as its workers read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from infra.error import OperatorError
from infra.kafka.readers.record_window import WindowReader
from infra.kafka.registry import Registry
from infra.redis.stores.feed_store import DEFAULT_FEED
from infra.settings import Settings
from models.blend.blender import Blender
from schemas.types import Features, LlmScores
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.explanation import RankingInputs
from streams.core.ranking.pipeline import new_blender, stream_time_ms
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.state.global_tables import GlobalTables, new_catalog
from streams.runtime.supervise import run_until
from topics.topic import FEATURES, LLM_SCORES, Topic

R = TypeVar("R", bound=msgspec.Struct)
_LOOK_S = 0.1


async def read_ranking_inputs(
    settings: Settings,
    registry: Registry,
    reader: WindowReader,
    *,
    user_id: str,
    on_progress: Callable[[int, int], None],
) -> tuple[RankingInputs, str]:
    """Return the inputs of a user's ranking, and the version of the weights among them.

    Args:
        settings: The settings of the workers.
        registry: The schema registry.
        reader: Reads the records of the user.
        user_id: The user; `~everyone` for the default feed.
        on_progress: Called with the offsets passed and to pass while the global tables are read.

    Raises:
        OperatorError: the user has no features.
    """
    features = await _newest(reader, registry, FEATURES, user_id, record=Features)
    if features is None and user_id != DEFAULT_FEED:
        raise OperatorError(
            f"Nothing is known of user {user_id}: the topic features holds no record.",
            f"Such users are shown the default feed; explain it with the user id {DEFAULT_FEED}.",
        )
    llm_scores = await _newest(reader, registry, LLM_SCORES, user_id, record=LlmScores)
    experiments = ExperimentParams(settings)
    catalog, blender, model_version = await read_global_tables(
        settings, registry, experiments=experiments, on_progress=on_progress
    )
    if features is None:
        features = Features(user_id=DEFAULT_FEED, version=0, watermark=catalog.watermark, event_count=0)
    if user_id == DEFAULT_FEED:
        arm_params = experiments.default()
        params = arm_params.rank.without_exploration()
    else:
        arm_params = experiments.of(features, at_ms=stream_time_ms(features, catalog))
        params = arm_params.rank
    inputs = RankingInputs(features, catalog, blender, params, arm_params.llm_blend, llm_scores)
    return inputs, model_version


async def read_global_tables(
    settings: Settings,
    registry: Registry,
    *,
    experiments: ExperimentParams,
    on_progress: Callable[[int, int], None],
) -> tuple[CatalogSnapshot, Blender, str]:
    """Return the catalog and the weights as workers have them now, and the version of the weights.

    Args:
        settings: The settings of the workers.
        registry: The schema registry.
        experiments: Takes the definitions of experiments.
        on_progress: Called with the offsets passed and to pass.
    """
    catalog, blender = new_catalog(settings), new_blender()
    tables = GlobalTables(settings.kafka_bootstrap_servers, catalog, blender, registry, None, experiments=experiments)
    await run_until(tables.ready, tables.run(), _report(tables, on_progress))
    while catalog.is_stale:
        catalog.refresh()
    return catalog, blender, tables.model_version


async def _newest(reader: WindowReader, registry: Registry, topic: Topic, user_id: str, *, record: type[R]) -> R | None:
    """Return a user's newest record of a topic."""
    message = await reader.newest(topic, user_id.encode())
    return (
        None
        if message is None or message.value is None
        else await registry.decode(registry.codec(record), message.value)
    )


async def _report(tables: GlobalTables, on_progress: Callable[[int, int], None]) -> None:
    while True:
        on_progress(*tables.catch_up)
        await asyncio.sleep(_LOOK_S)
