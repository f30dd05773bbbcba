"""The endpoints' dependencies: clients passed in by the composition root, settings, metrics, caches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from limits.aio.storage import MemoryStorage, Storage

from api.endpoints.metrics import HeartbeatReader, Metrics, no_heartbeats
from api.endpoints.visibility import ItemVisibility, VisibilityRules, VisibleFeed, reranked_feed, visible_feed
from api.feeds.impression_log import ImpressionLog
from api.http.body import R, validate_record
from api.http.error import BrokerUnavailableError, NoFeedError, TooLargeError
from api.security.audit import Audits
from api.security.principal import REQUEST_CONTEXT
from domain.nearby import UNKNOWN_LOCATION, GeoLocation
from infra import clock
from infra.erasure.erasure_store import ErasureStore, MemoryErasureStore
from infra.erasure.erasure_tracker import ErasureTracker, NoErasureTracker
from infra.health.health_check import HealthCheck, ServerProbe
from infra.health.pipeline_health import PipelineHealth
from infra.kafka.publisher import PublishError, RecordPublisher, RecordTooLargeError
from infra.postgres.catalog_filter import CatalogListing, MemoryCatalogListing
from infra.postgres.feed_history import FeedHistory, MemoryFeedHistory
from infra.postgres.pool import LazyPool
from infra.postgres.shop_archive import MemoryShopArchive, ShopArchive
from infra.postgres.shop_search import MemoryShopSearch, ShopSearch
from infra.privacy.aggregation_store import AggregationStore, MemoryAggregationStore
from infra.privacy.privacy_ledger import BudgetReader, UnspentBudget
from infra.redis.connection import StoreError
from infra.redis.feed_cache import FeedCache
from infra.redis.metrics.click_rate_store import ClickRateStore, MemoryClickRateStore
from infra.redis.metrics.experiment_results_store import ExperimentResultsStore, MemoryExperimentResultsStore
from infra.redis.metrics.online_metrics_store import MemoryOnlineMetricsStore, OnlineMetricsStore
from infra.redis.metrics.served_metrics import ServedMetrics, served_metrics
from infra.redis.stores.chart_store import ChartStore, MemoryChartStore
from infra.redis.stores.collection_store import CollectionStore, MemoryCollectionStore
from infra.redis.stores.experiment_store import ExperimentStore, MemoryExperimentStore
from infra.redis.stores.feed_codec import generated_at, unpack
from infra.redis.stores.feed_store import DEFAULT_FEED, FeedStore, shown_feed
from infra.redis.stores.interaction_log import InteractionLog, MemoryInteractionLog
from infra.redis.stores.item_store import ItemCache, ItemReader, ItemStore
from infra.redis.stores.model_status import MemoryModelStatusStore, ModelStatusStore
from infra.redis.stores.page_store import MemoryPageStore, PageStore
from infra.redis.stores.prefetch_store import MemoryPrefetchStore, PrefetchStore
from infra.redis.stores.push_store import MemoryPushStore, PushStore
from infra.redis.stores.shop_store import MemoryShopStore, ShopStore
from infra.redis.stores.user_profile_store import MemoryUserProfileStore, UserProfileStore
from infra.settings import Settings
from infra.settings.surface import Surface, parse_surfaces
from infra.user_export import EmptyUserExporter, UserExporter
from schemas.types import Feed, Item
from topics import Topic
from topics.topic import MIB

PACKED_SHARE, RENDERED_SHARE = 0.2, 0.8
"""Shares of API_CACHE_MB for feeds as they are stored, and as they are answered."""
_item = msgspec.json.Decoder(Item)


async def _unknown() -> PipelineHealth | None:
    """Return no pipeline state."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Clients of all external systems; the app closes them when it stops."""

    publisher: RecordPublisher
    feeds: FeedStore
    items: ItemStore
    interactions: InteractionLog = field(default_factory=MemoryInteractionLog)
    """Users' interactions of the last day."""
    model_status: ModelStatusStore = field(default_factory=MemoryModelStatusStore)
    """The model status that the trainer reports."""
    online_metrics: OnlineMetricsStore = field(default_factory=MemoryOnlineMetricsStore)
    """Figures of the feeds that were served, and of the actions after them."""
    click_rates: ClickRateStore = field(default_factory=MemoryClickRateStore)
    """Figures of impressions and clicks."""
    prefetch_store: PrefetchStore = field(default_factory=MemoryPrefetchStore)
    """Prefetched content by user."""
    push_store: PushStore = field(default_factory=MemoryPushStore)
    """Devices and push decisions that the push role reports."""
    user_profiles: UserProfileStore = field(default_factory=MemoryUserProfileStore)
    """User profiles."""
    charts: ChartStore = field(default_factory=MemoryChartStore)
    """Trending items."""
    catalog_listing: CatalogListing = field(default_factory=MemoryCatalogListing)
    """The catalog, with filters."""
    collections: CollectionStore = field(default_factory=MemoryCollectionStore)
    """The progress of collections from the external API."""
    experiments: ExperimentStore = field(default_factory=MemoryExperimentStore)
    """Definitions of A/B experiments."""
    experiment_results: ExperimentResultsStore = field(default_factory=MemoryExperimentResultsStore)
    """Results of A/B experiments."""
    shop_store: ShopStore = field(default_factory=MemoryShopStore)
    """Contents of the shop's home page."""
    shop_archive: ShopArchive = field(default_factory=MemoryShopArchive)
    """Similar products, association rules and shop events."""
    feed_history: FeedHistory = field(default_factory=MemoryFeedHistory)
    """Feeds of the past."""
    erasures: ErasureStore = field(default_factory=MemoryErasureStore)
    """Erasures of users, and what was erased."""
    erasure_tracker: ErasureTracker = field(default_factory=NoErasureTracker)
    """Reports the progress of erasures."""
    user_exporter: UserExporter = field(default_factory=EmptyUserExporter)
    """Exports all that is known of a user."""
    privacy_budget: BudgetReader = field(default_factory=lambda: UnspentBudget(Settings()))
    """Reads the privacy budget."""
    aggregations: AggregationStore = field(default_factory=MemoryAggregationStore)
    """Secure aggregations of clients' counters."""
    page_store: PageStore = field(default_factory=MemoryPageStore)
    """Entries shown on earlier pages of lists."""
    search: ShopSearch = field(default_factory=MemoryShopSearch)
    """Full-text search of the catalog."""
    databases: Sequence[LazyPool] = ()
    """The connections to PostgreSQL behind these clients, whose queries are measured."""
    health_checks: Mapping[str, HealthCheck] = field(default_factory=dict)
    """Health checks by dependency: kafka, registry, redis, database."""
    pipeline: Callable[[], Awaitable[PipelineHealth | None]] = _unknown
    """Reads the state of the pipeline."""
    rate_limit_storage: Storage = field(default_factory=MemoryStorage)
    """Storage of the rate limits."""
    heartbeats: HeartbeatReader = no_heartbeats
    """Reads the heartbeats of all roles."""
    now_ms: Callable[[], int] = clock.now_ms
    closers: Sequence[Callable[[], Awaitable[object]]] = ()
    """Called in this order after the last request, such as `publisher.close` and `redis.aclose`."""

    async def close(self) -> None:
        """Close all clients."""
        await self.feeds.close()
        for one in self.health_checks.values():
            if isinstance(one, ServerProbe):
                await one.aclose()
        for close in self.closers:
            await close()


@dataclass(slots=True)
class ApiContext:
    """One app's clients, settings, metrics and item cache."""

    settings: Settings
    clients: Clients
    metrics: Metrics
    items: ItemCache
    reranks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1_000))
    """Limits the number of requests that wait for a worker."""
    feeds: FeedCache = field(init=False)
    reader: ItemReader[Item] = field(default_factory=lambda: ItemReader(_item.decode))
    """Decodes the items of `items`."""
    visibility_rules: VisibilityRules = field(init=False)
    surfaces: Mapping[str, Surface] = field(init=False)
    """The surfaces by name."""
    audits: Audits = field(init=False)
    impressions: ImpressionLog = field(init=False)

    def __post_init__(self) -> None:
        audits = Audits(
            self.clients.publisher, self.metrics, now_ms=self.clients.now_ms, reads=self.settings.audit_reads
        )
        self.audits, self.visibility_rules = audits, VisibilityRules(self.settings)
        self.surfaces = parse_surfaces(self.settings.surfaces)
        self.impressions = ImpressionLog(
            self.clients.publisher,
            self.metrics,
            share=self.settings.impression_log_share,
            now_ms=self.clients.now_ms,
        )
        self.feeds = FeedCache(self.clients.feeds, capacity_bytes=self.cache_bytes(PACKED_SHARE))

    @property
    def default_surface(self) -> str:
        """Return the surface of feeds whose readers name none; empty for all kinds."""
        name = self.settings.default_surface
        return name if name in self.surfaces else ""

    async def served_metrics(self) -> ServedMetrics:
        """Return the metrics of what was served in the last hour and day.

        Raises:
            StoreError: a store does not answer.
        """
        return await served_metrics(self.clients.online_metrics, self.clients.click_rates)

    def cache_bytes(self, share: float) -> int:
        """Return the memory of one of the caches of feeds: a share of API_CACHE_MB, in bytes."""
        return int(share * self.settings.api_cache_mb * MIB)

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> Mapping[int, int]:
        """Check records against their limits, then publish them; return the last offset of each partition.

        Raises:
            InvalidError: a record breaks one of its limits; none is published.
            BrokerUnavailableError, TooLargeError: as `send`.
        """
        return await self.send(topic, [self.validated(value) for value in values])

    def validated(self, record: R) -> R:
        """Check a record against the limits of this deployment and return it normalized for publishing.

        Raises:
            InvalidError: a field breaks its limit; the error names it.
        """
        settings = self.settings
        return validate_record(
            record,
            self.clients.now_ms(),
            rating_scale=settings.rating_scale,
            max_age_days=settings.event_max_age_days,
        )

    async def send(self, topic: Topic, values: Sequence[msgspec.Struct]) -> Mapping[int, int]:
        """Publish checked records; return the last offset of each partition once the broker has acknowledged them.

        Raises:
            BrokerUnavailableError: the broker did not acknowledge within API_PUBLISH_TIMEOUT_S.
            TooLargeError: a record exceeds the message limit of its topic.
        """
        try:
            async with asyncio.timeout(self.settings.api_publish_timeout_s):
                offsets = await self.clients.publisher.publish(topic, values)
        except RecordTooLargeError as error:
            raise TooLargeError(error.limit) from error
        except (PublishError, TimeoutError) as error:
            self.metrics.publish_failures.labels(topic.name).inc()
            raise BrokerUnavailableError from error
        self.metrics.published_events.labels(topic.name).inc(len(values))
        return offsets

    async def catalog_items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """Return the items that are in the catalog, by id, in the given order.

        Raises:
            StoreError: the store did not answer.
        """
        rows, _ = await self.items.read(item_ids)
        return {
            item_id: self.reader.read(item_id, data)
            for item_id, data in zip(item_ids, rows, strict=True)
            if data is not None
        }

    async def visible_items(self, item_ids: Sequence[str], user: GeoLocation = UNKNOWN_LOCATION) -> dict[str, Item]:
        """Return the items visible to a user, by id, in the given order; see `VisibilityRules.visible_to`.

        Raises:
            StoreError: the store did not answer.
        """
        rows, _ = await self.items.read(item_ids)
        items = {item_id: data for item_id, data in zip(item_ids, rows, strict=True) if data is not None}
        return {
            item_id: self.reader.read(item_id, items[item_id])
            for item_id in self.visibility_rules.visible_to(user, items)
        }

    async def location_of(self, user_id: str | None) -> GeoLocation:
        """Return a user's location, as far as it is known; without a user, the caller's location.

        Raises:
            StoreError: the store did not answer.
        """
        if user_id is None:
            request_context = REQUEST_CONTEXT.get()
            if request_context is None or request_context.principal is None or request_context.principal.is_trusted:
                return UNKNOWN_LOCATION
            user_id = request_context.principal.subject
        return await self.clients.user_profiles.location(user_id)

    async def published_offset(self, user_id: str) -> int:
        """Return the offset of the newest interaction that clients published for a user lately.

        It is -1 if there is none, or while Redis is unavailable.
        """
        try:
            return await self.clients.interactions.read_offset(user_id)
        except StoreError:
            return -1

    async def feed_of(self, user_id: str, *, at_ms: int | None = None, surface: str = "") -> Feed:
        """Return a user's feed in the order for the time since their last event, or the non-personalized feed.

        Args:
            user_id: The user.
            at_ms: The time of the reading, in ms since the epoch; now by default.
            surface: The surface that shows the feed; a feed without orders of it is returned for all kinds.

        Raises:
            NoFeedError: neither exists.
            StoreError: the store did not answer.
        """
        owner, data = await self.stored_feed(user_id)
        return shown_feed(unpack(owner, data), self.clients.now_ms() if at_ms is None else at_ms, surface=surface)

    async def stored_feed(self, user_id: str) -> tuple[str, bytes]:
        """Return a user's packed feed, or the non-personalized one, and whose feed it is.

        Raises:
            NoFeedError: neither exists.
            StoreError: the store did not answer.
        """
        request_context = REQUEST_CONTEXT.get()
        if request_context is not None:
            request_context.user_id = user_id
        (own, default_feed), misses = await self.feeds.read((user_id, DEFAULT_FEED))
        self.metrics.count_feed_lookups(hits=2 - misses, misses=misses)
        if own is not None:
            self.metrics.count_own_feed(self.clients.now_ms() - generated_at(own))
            return user_id, own
        self.metrics.feed_reads.labels("missing" if default_feed is None else "fallback").inc()
        if default_feed is None:
            raise NoFeedError(user_id)
        return DEFAULT_FEED, default_feed

    async def serve_feed(self, feed: Feed, limit: int) -> VisibleFeed:
        """Return the first visible items of a feed, as `visible_feed` does, and record them in the audit log.

        Raises:
            StoreError: the store did not answer.
        """
        visible = await self.visible_feed(feed, limit)
        self.audits.record_feed(feed, len(visible.items))
        return visible

    async def visible_feed(
        self,
        feed: Feed,
        limit: int,
        excluded_ids: Collection[str] = (),
        *,
        accepts: Callable[[ItemVisibility], bool] | None = None,
    ) -> VisibleFeed:
        """Return the first visible items of a feed.

        Args:
            feed: The feed.
            limit: Largest number of items.
            excluded_ids: Items to leave out.
            accepts: Whether an item counts; None if all do.

        Raises:
            StoreError: the store did not answer.
        """
        count = limit + len(excluded_ids) if accepts is None else len(feed.items)
        visibilities = self.visibility_rules.visible_in_feed(
            feed.items[:count], await self.item_documents(feed.items[:count]), start=0
        )
        rest = feed.items[count:]
        if len(visibilities) < count and rest:
            visibilities += self.visibility_rules.visible_in_feed(rest, await self.item_documents(rest), start=count)
        if excluded_ids:
            visibilities = [one for one in visibilities if feed.items[one[0]] not in excluded_ids]
        if accepts is not None:
            visibilities = [one for one in visibilities if accepts(one[2])]
        return visible_feed(feed, visibilities[:limit])

    def read_items(self, visible: VisibleFeed) -> Iterator[tuple[int, Item]]:
        """Yield the indices and items of served items that are in the catalog."""
        for index, data in zip(visible.indices, visible.items, strict=True):
            if data is not None:
                yield index, self.reader.read(visible.feed.items[index], data)

    async def serve_reranked(self, feed: Feed, limit: int) -> VisibleFeed:
        """Return the first items of a re-ranked list, whether or not they are in the catalog; record them as served.

        Raises:
            StoreError: the store did not answer.
        """
        rows = await self.item_documents(feed.items[:limit])
        self.audits.record_feed(feed, len(rows))
        return reranked_feed(feed, rows)

    async def item_documents(self, item_ids: Sequence[str]) -> list[msgspec.Raw | None]:
        """Return the JSON of items, None for those that are not in the catalog.

        Raises:
            StoreError: the store did not answer.
        """
        rows, misses = await self.items.read(item_ids)
        self.metrics.count_item_lookups(hits=len(item_ids) - misses, misses=misses)
        return rows
