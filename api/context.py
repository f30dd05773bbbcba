"""What the endpoints work with: clients handed in by the composition root, settings, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from limits.aio.storage import MemoryStorage, Storage

from api.endpoints.metrics import Metrics, Signs, no_signs
from api.endpoints.visibility import Offers, Served, given, served
from api.http.body import R, admit
from api.http.error import BrokerAwayError, NoFeedError, TooLargeError
from api.security.audit import Audits
from api.security.principal import CURRENT, authorize_user
from infra import clock
from infra.health_check import HealthCheck, ServerProbe
from infra.kafka.publisher import PublishError, Publishes, RecordTooLargeError
from infra.pipeline_health import PipelineHealth
from infra.postgres.catalog_filter import CatalogListing, MemoryListing
from infra.postgres.shop_archive import MemoryShopArchive, ShopArchive
from infra.postgres.shop_search import MemoryShopSearch, ShopSearches
from infra.redis.stores.chart_store import ChartStore, MemoryChartStore
from infra.redis.stores.collection_store import CollectionStore, MemoryCollectionStore
from infra.redis.stores.experiment_store import ExperimentStore, MemoryExperimentStore
from infra.redis.stores.feed_store import EVERYONE, FeedStore
from infra.redis.stores.interaction_log import InteractionLog, MemoryInteractionLog
from infra.redis.stores.item_store import ItemCache, ItemReader, ItemStore
from infra.redis.stores.model_status import MemoryModelStatusStore, ModelStatusStore
from infra.redis.stores.page_store import MemoryPageStore, PageStore
from infra.redis.stores.prefetch_store import MemoryPrefetchStore, PrefetchStore
from infra.redis.stores.push_store import MemoryPushStore, PushStore
from infra.redis.stores.shop_store import MemoryShopStore, ShopStore
from infra.redis.stores.user_profile_store import MemoryUserProfileStore, UserProfileStore
from infra.settings import Settings
from schemas.nearby import UNKNOWN, Spot
from schemas.types import Feed, Item
from topics import Topic

_item = msgspec.json.Decoder(Item)


async def _unknown() -> PipelineHealth | None:
    """Return how the pipeline is where there is none."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The outside world as the API needs it; the app closes it when it stops."""

    publisher: Publishes
    feeds: FeedStore
    items: ItemStore
    interactions: InteractionLog = field(default_factory=MemoryInteractionLog)
    """What users did within the last day."""
    boards: ModelStatusStore = field(default_factory=MemoryModelStatusStore)
    """What the trainer tells of the models."""
    prefetched: PrefetchStore = field(default_factory=MemoryPrefetchStore)
    """What was fetched ahead for users."""
    pushes: PushStore = field(default_factory=MemoryPushStore)
    """What the push role tells of devices and decisions."""
    portraits: UserProfileStore = field(default_factory=MemoryUserProfileStore)
    """Who users are."""
    charts: ChartStore = field(default_factory=MemoryChartStore)
    """What trends."""
    listing: CatalogListing = field(default_factory=MemoryListing)
    """The catalogue by what clients filter by."""
    collections: CollectionStore = field(default_factory=MemoryCollectionStore)
    """How far collections of the external API have come."""
    experiments: ExperimentStore = field(default_factory=MemoryExperimentStore)
    """Which comparisons there are."""
    shop: ShopStore = field(default_factory=MemoryShopStore)
    """What a shop's home shows."""
    shop_archive: ShopArchive = field(default_factory=MemoryShopArchive)
    """What is alike, what goes together, and what shoppers did."""
    pages: PageStore = field(default_factory=MemoryPageStore)
    """What was shown of lists that are paged through."""
    search: ShopSearches = field(default_factory=MemoryShopSearch)
    """The catalogue as it is searched."""
    probes: Mapping[str, HealthCheck] = field(default_factory=dict)
    """What /health asks, by dependency: kafka, registry, redis, database."""
    pipeline: Callable[[], Awaitable[PipelineHealth | None]] = _unknown
    """Reads how the pipeline is."""
    rates: Storage = field(default_factory=MemoryStorage)
    """Where requests are counted."""
    signs: Signs = no_signs
    """Reads what every role says of itself."""
    now_ms: Callable[[], int] = clock.now_ms
    closers: Sequence[Callable[[], Awaitable[object]]] = ()
    """Run in this order after the last request, such as `publisher.close` and `redis.aclose`."""

    async def close(self) -> None:
        """Close what the API was given."""
        await self.feeds.close()
        for one in self.probes.values():
            if isinstance(one, ServerProbe):
                await one.aclose()
        for close in self.closers:
            await close()


@dataclass(frozen=True, slots=True)
class ApiContext:
    """One app's clients, settings, metrics and item cache."""

    settings: Settings
    clients: Clients
    metrics: Metrics
    items: ItemCache
    reranks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1_000))
    """Taken by who waits for a worker to rank."""
    reader: ItemReader[Item] = field(default_factory=lambda: ItemReader(_item.decode))
    """Reads what `items` holds."""
    offers: Offers = field(init=False)
    audits: Audits = field(init=False)

    def __post_init__(self) -> None:
        audits = Audits(
            self.clients.publisher, self.metrics, now_ms=self.clients.now_ms, reads=self.settings.audit_reads
        )
        object.__setattr__(self, "audits", audits)
        object.__setattr__(self, "offers", Offers(self.settings))

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Hold records against their limits, then send them.

        Raises:
            InvalidError: a record breaks one of its limits; none is sent.
            ForbiddenError, BrokerAwayError: as `send`.
        """
        await self.send(topic, [self.admitted(value) for value in values])

    def admitted(self, record: R) -> R:
        """Return a record in the form in which it is sent, once it is held against the limits of this deployment.

        Raises:
            InvalidError: naming the field.
        """
        settings = self.settings
        return admit(
            record,
            self.clients.now_ms(),
            rating_scale=settings.rating_scale,
            max_age_days=settings.event_max_age_days,
        )

    async def send(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Publish records that were admitted, and return once the broker has them.

        Raises:
            ForbiddenError: who asks may not speak for the user of a record.
            BrokerAwayError: it did not acknowledge within the setting's time.
            TooLargeError: a record is larger than its topic takes.
        """
        for value in values:
            if hasattr(value, "user_id"):
                authorize_user(value.user_id)
        try:
            async with asyncio.timeout(self.settings.api_publish_timeout_s):
                await self.clients.publisher.publish(topic, values)
        except RecordTooLargeError as error:
            raise TooLargeError(error.limit) from error
        except (PublishError, TimeoutError) as error:
            self.metrics.publish_failures.labels(topic.name).inc()
            raise BrokerAwayError from error
        self.metrics.published.labels(topic.name).inc(len(values))

    async def catalogued(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """Return items by id, in this order, as far as the catalogue holds them.

        Raises:
            StoreError: the store did not answer.
        """
        rows, _ = await self.items.read(item_ids)
        return {
            item_id: self.reader.read(item_id, data)
            for item_id, data in zip(item_ids, rows, strict=True)
            if data is not None
        }

    async def offered(self, item_ids: Sequence[str], user: Spot = UNKNOWN) -> dict[str, Item]:
        """Return those items by id that may be shown to a user, in this order; see `Offers.to`.

        Raises:
            StoreError: the store did not answer.
        """
        rows, _ = await self.items.read(item_ids)
        items = {item_id: data for item_id, data in zip(item_ids, rows, strict=True) if data is not None}
        return {item_id: self.reader.read(item_id, items[item_id]) for item_id in self.offers.to(user, items)}

    async def spot_of(self, user_id: str | None) -> Spot:
        """Return where a user is, as far as it is known; of no user in particular, where whoever asks is.

        Raises:
            ForbiddenError: who asks may not speak for the user.
            StoreError: the store did not answer.
        """
        if user_id is None:
            trace = CURRENT.get()
            if trace is None or trace.caller is None or trace.caller.is_trusted:
                return UNKNOWN
            user_id = trace.caller.subject
        authorize_user(user_id)
        return await self.clients.portraits.spot(user_id)

    async def feed_of(self, user_id: str) -> Feed:
        """Return a user's feed, or everyone's when there is none.

        Raises:
            NoFeedError: there is neither.
            StoreError: the store did not answer.
            ForbiddenError: who asks may not speak for the user.
        """
        authorize_user(user_id)
        trace = CURRENT.get()
        if trace is not None:
            trace.user_id = user_id
        own, everyones = await self.clients.feeds.read((user_id, EVERYONE))
        if own is not None:
            self.metrics.feed_reads.labels("own").inc()
            self.metrics.feed_age.observe(max(0.0, (self.clients.now_ms() - own.generated_at) / 1000))
            return own
        self.metrics.feed_reads.labels("missing" if everyones is None else "fallback").inc()
        if everyones is None:
            raise NoFeedError(user_id)
        return everyones

    async def served(self, feed: Feed, limit: int) -> Served:
        """Return what `chosen` does, and note that it was served.

        Raises:
            StoreError: the store did not answer.
        """
        chosen = await self.chosen(feed, limit)
        self.audits.served(feed, len(chosen.items))
        return chosen

    async def chosen(self, feed: Feed, limit: int) -> Served:
        """Return the first items of a feed that may still be shown, so many where it holds as many.

        Raises:
            StoreError: the store did not answer.
        """
        offers = self.offers.of_feed(feed.items[:limit], await self._read(feed.items[:limit]), start=0)
        rest = feed.items[limit:]
        if len(offers) < limit and rest:
            offers += self.offers.of_feed(rest, await self._read(rest), start=limit)
        return served(feed, offers[:limit])

    def read(self, served: Served) -> Iterator[tuple[int, Item]]:
        """Yield positions in a feed, and the items that stand there, as far as the catalogue holds them."""
        for position, data in zip(served.positions, served.items, strict=True):
            if data is not None:
                yield position, self.reader.read(served.feed.items[position], data)

    async def given(self, feed: Feed, limit: int) -> Served:
        """Return the first items of a list that was given and ranked, whether or not the catalogue holds them.

        Raises:
            StoreError: the store did not answer.
        """
        rows = await self._read(feed.items[:limit])
        self.audits.served(feed, len(rows))
        return given(feed, rows)

    async def _read(self, item_ids: Sequence[str]) -> list[msgspec.Raw | None]:
        rows, misses = await self.items.read(item_ids)
        self.metrics.cached_items.labels("miss").inc(misses)
        self.metrics.cached_items.labels("hit").inc(len(item_ids) - misses)
        return rows
