"""`millrace api`: the HTTP side."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from api import portal
from api.app import create_app
from api.context import Clients
from api.server import Server
from cli.log import set_up
from cli.run import until_stopped
from infra import heartbeat, probe, settings
from infra.address import located
from infra.chart_store import RedisChartStore
from infra.collection_store import RedisCollectionStore
from infra.database import Lazy
from infra.double import simulated
from infra.experiment_store import RedisExperimentStore
from infra.feed_store import RedisFeedStore
from infra.interaction_log import RedisInteractionLog
from infra.item_store import RedisItemStore
from infra.listing import PostgresListing
from infra.model_board import RedisBoardStore
from infra.page_store import RedisPageStore
from infra.pipeline_health import PipelineReader
from infra.portrait_store import RedisPortraitStore
from infra.prefetch_store import RedisPrefetchStore
from infra.publisher import Publisher
from infra.push_store import RedisPushStore
from infra.rate import rates
from infra.redis_client import connect_impatiently, store_errors
from infra.registry import Registry
from infra.search import Search
from infra.settings import Settings
from infra.shop_archive import PostgresShopArchive
from infra.shop_store import RedisShopStore


def api() -> None:
    """Serve the HTTP API and the page at / until Ctrl-C.

    Example: API_PORT=8080 millrace api
    """
    configured = located(settings.read())
    set_up(configured)
    until_stopped(lambda stop: _serve(configured, stop))


async def _serve(configured: Settings, stop: asyncio.Event) -> None:
    registry = Registry(configured.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = Publisher(configured.kafka_bootstrap_servers, registry, timeout_s=configured.api_publish_timeout_s)
    redis = connect_impatiently(configured.redis_url, timeout_s=configured.api_store_timeout_s)
    database = Lazy(configured.database_url)
    pipeline = PipelineReader(configured, redis)
    clients = Clients(
        publisher=publisher,
        feeds=RedisFeedStore(redis, ttl_days=configured.feed_ttl_days),
        items=RedisItemStore(redis),
        interactions=RedisInteractionLog(redis),
        boards=RedisBoardStore(redis),
        prefetched=RedisPrefetchStore(redis),
        pushes=RedisPushStore(redis),
        portraits=RedisPortraitStore(redis),
        charts=RedisChartStore(redis),
        listing=PostgresListing(database),
        collections=RedisCollectionStore(redis),
        experiments=RedisExperimentStore(redis),
        shop=RedisShopStore(redis),
        shop_archive=PostgresShopArchive(database),
        pages=RedisPageStore(redis),
        search=Search(database, radius_km=configured.place_radius_km, hides_sold_out=configured.hides_sold_out),
        probes={
            "kafka": probe.kafka(configured.kafka_bootstrap_servers),
            "registry": probe.registry(configured.schema_registry_url),
            "redis": probe.redis(redis),
            "database": probe.database(configured.database_url),
        },
        pipeline=pipeline.read,
        rates=rates(redis),
        closers=[publisher.close, pipeline.close, redis.aclose, database.close],
        signs=partial(heartbeat.signs, redis),
    )

    async def read_users() -> bytes | None:
        with store_errors("reading the people of the demo"):
            return cast(bytes | None, await redis.get(portal.USERS_KEY))

    app = create_app(configured, clients, more_routes=portal.routes(read_users, simulated(configured)))
    server = Server(app, configured)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await server.serve()
    finally:
        ending.cancel()
        registry.close()
