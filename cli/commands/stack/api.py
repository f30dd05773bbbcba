"""`millrace api`: the HTTP server."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from redis.asyncio import Redis

import portal
from api.app import create_app
from api.context import Clients
from api.http.server import HttpServer
from api.metrics_app import metrics_app, metrics_socket
from cli.log import set_up
from cli.run import until_stopped
from infra.address import resolve_addresses
from infra.erasure.erasure_index import erasure_key
from infra.erasure.erasure_store import RedisErasureStore
from infra.erasure.erasure_tracker import KafkaErasureTracker, NoErasureTracker
from infra.fakes import fakes_in_use
from infra.health import health_check
from infra.health.pipeline_health import PipelineReader
from infra.kafka.publisher import Publisher
from infra.kafka.registry import Registry, open_registry
from infra.postgres.catalog_filter import PostgresCatalogListing
from infra.postgres.feed_history import PostgresFeedHistory
from infra.postgres.pool import LazyPool
from infra.postgres.shop_archive import PostgresShopArchive
from infra.postgres.shop_search import PostgresShopSearch
from infra.privacy.aggregation_store import RedisAggregationStore
from infra.privacy.privacy_ledger import PrivacyLedger
from infra.redis import heartbeat
from infra.redis.connection import connect_fail_fast, store_errors
from infra.redis.metrics.click_rate_store import RedisClickRateStore
from infra.redis.metrics.experiment_results_store import RedisExperimentResultsStore
from infra.redis.metrics.online_metrics_store import RedisOnlineMetricsStore
from infra.redis.rate_counter import rate_limit_storage
from infra.redis.stores.chart_store import RedisChartStore
from infra.redis.stores.collection_store import RedisCollectionStore
from infra.redis.stores.experiment_store import RedisExperimentStore
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.interaction_log import RedisInteractionLog
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.model_status import RedisModelStatusStore
from infra.redis.stores.page_store import RedisPageStore
from infra.redis.stores.prefetch_store import RedisPrefetchStore
from infra.redis.stores.push_store import RedisPushStore
from infra.redis.stores.shop_store import RedisShopStore
from infra.redis.stores.user_profile_store import RedisUserProfileStore
from infra.settings import Settings, read_settings
from infra.user_export import StackUserExporter


def api() -> None:
    """Serve the HTTP API and the portal at / until Ctrl-C.

    Example: API_PORT=8080 millrace api
    """
    settings = resolve_addresses(read_settings())
    set_up(settings)
    until_stopped(lambda stop: _serve(settings, stop))


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    async with open_registry(settings.schema_registry_url) as registry:
        redis = connect_fail_fast(settings.redis_url, timeout_s=settings.api_store_timeout_s)

        async def read_users() -> bytes | None:
            with store_errors("reading the users of the demo"):
                return cast(bytes | None, await redis.get(portal.USERS_KEY))

        routes = portal.routes(read_users, fakes_in_use(settings))
        app = create_app(settings, _clients(settings, registry, redis), more_routes=routes)
        server, metrics_server = HttpServer(app, settings), HttpServer(metrics_app(app.state.metrics), settings)
        port = metrics_socket(settings)
        serving = asyncio.create_task(metrics_server.serve([port])) if port is not None else None

        async def end() -> None:
            await stop.wait()
            server.should_exit = True

        ending = asyncio.create_task(end())
        try:
            await server.serve()
        finally:
            ending.cancel()
            if serving is not None:
                metrics_server.should_exit = True
                await serving


def _clients(settings: Settings, registry: Registry, redis: Redis) -> Clients:
    """Return the clients of the API, which closes them."""
    publisher = Publisher(
        settings.kafka_bootstrap_servers,
        registry,
        timeout_s=settings.api_publish_timeout_s,
        linger_ms=1,  # a client waits; what comes meanwhile shares a batch anyway
    )
    database = LazyPool(settings.database_url)
    pipeline = PipelineReader(settings, redis)
    key, erasures = erasure_key(settings), RedisErasureStore(redis)
    tracker = KafkaErasureTracker(settings.kafka_bootstrap_servers, erasures, key) if key else NoErasureTracker()
    return Clients(
        publisher=publisher,
        feeds=RedisFeedStore(redis, ttl_days=settings.feed_ttl_days),
        items=RedisItemStore(redis),
        interactions=RedisInteractionLog(redis),
        model_status=RedisModelStatusStore(redis),
        online_metrics=RedisOnlineMetricsStore(redis),
        click_rates=RedisClickRateStore(redis),
        prefetch_store=RedisPrefetchStore(redis),
        push_store=RedisPushStore(redis),
        user_profiles=RedisUserProfileStore(redis),
        charts=RedisChartStore(redis),
        catalog_listing=PostgresCatalogListing(database),
        collections=RedisCollectionStore(redis),
        experiments=RedisExperimentStore(redis),
        experiment_results=RedisExperimentResultsStore(redis),
        shop_store=RedisShopStore(redis),
        shop_archive=PostgresShopArchive(database),
        feed_history=PostgresFeedHistory(database),
        erasures=erasures,
        erasure_tracker=tracker,
        user_exporter=StackUserExporter(redis, database, settings.kafka_bootstrap_servers, registry, key),
        privacy_budget=PrivacyLedger(settings, registry),
        aggregations=RedisAggregationStore(redis),
        page_store=RedisPageStore(redis),
        search=PostgresShopSearch(
            database, radius_km=settings.nearby_radius_km, hides_out_of_stock=settings.hides_out_of_stock
        ),
        databases=[database],
        health_checks={
            "kafka": health_check.kafka(settings.kafka_bootstrap_servers),
            "registry": health_check.registry(settings.schema_registry_url),
            "redis": health_check.redis(redis),
            "database": health_check.database(settings.database_url),
        },
        pipeline=pipeline.read,
        rate_limit_storage=rate_limit_storage(redis),
        closers=[publisher.close, pipeline.close, redis.aclose, database.close],
        heartbeats=partial(heartbeat.heartbeats, redis),
    )
