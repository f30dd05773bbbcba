"""Ranking of users in the background: features → feeds, in the feed store and on their topic."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter, thread_time

from infra.redis.stores.feed_store import DEFAULT_FEED, FeedStore
from schemas.types import Features, Feed, ShadowComparison
from streams.agents.agent_context import AgentContext
from streams.agents.exposures import ExposureRecorder
from streams.agents.outcomes import OutcomeRecorder
from streams.agents.shadows import ShadowRanker
from streams.core.coalescing_queue import CoalescingQueue
from streams.core.ranking.pipeline import RankedFeed, build_candidates, rank_candidates, stream_time_ms
from streams.core.ranking.stages.llm_blend import LlmScoreCache
from streams.runtime.arm_params import ArmParams, ExperimentParams, with_arms
from streams.runtime.dead_letter_queue import Record
from streams.runtime.refill.store_refill import RefillEntry, rewrite
from streams.runtime.retry import retry_until_available
from topics.topic import FEEDS, SHADOW_COMPARISONS

MICRO_BATCH, MICRO_BATCH_BEHIND = 32, 256
"""Users ranked per turn of the event loop; more while a backlog waits and throughput matters more than latency."""
_REFRESH_S = 0.25
_YIELD = 19.0
"""Time left to folding while a backlog waits, as a multiple of the time just spent on ranking."""
_PAUSE = 3.0
"""Time between two refreshes of the catalog snapshot, at least, as a multiple of what the first one took."""
_LOOK_S = 0.02
"""Interval between two looks at the backlog."""

_ERASED_USERS = 10_000
"""Erased users that are remembered."""
_HERE_MS = 2_000
"""Age of a user's last action up to which the user counts as present."""

Work = tuple[Record, Features]
"""The features of a user, and the record that changed them last."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A user's new feed, the record that changed the features, and the comparison with a shadow, if there is one."""

    record: Record
    ranked_feed: RankedFeed
    shadow_comparison: ShadowComparison | None

    @property
    def feed(self) -> Feed:
        """Return the feed."""
        return self.ranked_feed.feed


class Ranker:
    """Ranks the newest features of each user, and writes the feeds.

    Under overload users are ranked less often, but none is left out. Users who have just acted come first: they are
    present to see the feed.
    """

    def __init__(
        self,
        context: AgentContext,
        store: FeedStore,
        llm_scores: LlmScoreCache,
        experiments: ExperimentParams,
        *,
        outcomes: OutcomeRecorder,
        exposures: ExposureRecorder,
        fetched_item_timeout_s: float = 5.0,
    ) -> None:
        """Create the ranker.

        Args:
            context: The clients of the role, the catalog snapshot and the blender.
            store: The feed store.
            llm_scores: The newest LLM scores by user; empty without a language model.
            experiments: Length and rules of a feed, by the arms of its user.
            outcomes: Is shown every feed.
            exposures: Is told of every feed under an arm.
            fetched_item_timeout_s: Longest time that an item fetched for a user may take from its topic to the catalog
                snapshot, in seconds.
        """
        self._fetched_item_timeout_s = fetched_item_timeout_s
        self._context, self._store, self._llm_scores, self._experiments = context, store, llm_scores, experiments
        self._outcomes, self._exposures = outcomes, exposures
        self.shadows = ShadowRanker(context.catalog, experiments)
        self._queue: CoalescingQueue[Callable[[], None], str, Work] = CoalescingQueue()
        self._early: dict[str, Work] = {}
        """Users ranked too early: items fetched for them have not reached the catalog snapshot yet."""
        self._until_s: dict[str, float] = {}
        """Deadline of each of these users, on the clock of the event loop."""
        self._wake = asyncio.Event()
        self._refreshed_s = 0.0
        self._refresh_s = 0.0
        """Processor time of the last refresh of the catalog snapshot, which takes longer the larger the catalog is."""
        self._is_default_feed_due = False
        self._writing: asyncio.Task[None] | None = None
        """Writes the feeds of the last micro-batch while the next one is ranked."""
        self._erased_versions: dict[str, int] = {}
        """Newest version of the features of an erased user that must not be ranked."""
        self.removed_counts: Counter[str] = Counter()
        """Items of the catalog that were removed from rankings, by filter."""

    @property
    def waiting(self) -> int:
        """Return the number of users in the queue or being ranked."""
        return len(self._queue)

    def put(self, release: Callable[[], None], users: Mapping[str, Work]) -> None:
        """Queue users for ranking.

        Args:
            release: Called once the feeds of all the users are written and published, by these or newer features, or
                failed and became dead letters.
            users: The work by user id; must not be empty.
        """
        since_ms = self._context.now_ms() - _HERE_MS
        pressing = [user_id for user_id, (_, features) in users.items() if features.watermark > since_ms]
        self._queue.add(release, users, priority_keys=pressing)
        self._wake.set()

    async def run(self) -> None:
        """Rank the queued users, until cancelled; keep the default feed of new users fresh."""
        await self._context.global_tables.ready.wait()
        while True:
            if await self._refresh() or self._is_default_feed_due:
                self._is_default_feed_due = False
                await self._refresh_default_feed()
            self._queue.put_back(self._pop_complete())
            work = self._queue.take(MICRO_BATCH_BEHIND if self._context.backlog else MICRO_BATCH)
            if not work:
                await self._finish_write()
                await self._wait_for_work()
                continue
            started_s = asyncio.get_running_loop().time()
            rankings = [one for record, features in work.values() if (one := self._rank(record, features)) is not None]
            await self._start_write(rankings, self._complete(work))
            for one in rankings:
                if not self._is_erased(one.feed.user_id, one.feed.features_version):
                    self._outcomes.show(one.ranked_feed)
            await self._yield_to_folding(asyncio.get_running_loop().time() - started_s)

    async def refill(self, chunks: AsyncIterator[Sequence[RefillEntry]]) -> None:
        """Write lost feeds to the store again, unless it holds newer ones; then rank the default feed anew."""
        async for chunk in chunks:
            await rewrite([feed for _, feed in chunk if feed is not None], self._store.write)
        self._is_default_feed_due = True

    async def forget(self, versions: Mapping[str, int]) -> None:
        """Write no feed of erased users any more; a write that has begun is waited for.

        Args:
            versions: The newest version of the features that must not be ranked, by user.
        """
        for user_id, version in versions.items():
            self._erased_versions[user_id] = max(version, self._erased_versions.pop(user_id, 0))
            if len(self._erased_versions) > _ERASED_USERS:
                del self._erased_versions[next(iter(self._erased_versions))]
            self._llm_scores.forget(user_id)
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def drop(self) -> None:
        """Clear the queue: its events are read again after a rebalance."""
        self._queue.clear()
        self._early.clear()
        self._until_s.clear()
        self._outcomes.forget()

    def _rank(self, record: Record, features: Features) -> Ranking | None:
        if self._is_erased(features.user_id, features.version):
            return None
        try:
            at_ms, began_s = stream_time_ms(features, self._context.catalog), perf_counter()
            ranked_feed = self._ranked(features, self._experiments.of(features, at_ms=at_ms), at_ms=at_ms)
            shadow_comparison = self.shadows.compare(
                features,
                ranked_feed.feed,
                lambda params: self._ranked(features, params, at_ms=at_ms, is_shadow=True),
                at_ms=at_ms,
                shown_ranking_ms=(perf_counter() - began_s) * 1_000,
            )
            return Ranking(record, ranked_feed, shadow_comparison)
        except Exception as error:
            self._context.dead_letters.put(record, error, stage="rank.score")
            return None

    def _is_erased(self, user_id: str, version: int) -> bool:
        return version <= self._erased_versions.get(user_id, 0)

    def _complete(self, work: dict[str, Work]) -> dict[str, Work]:
        """Return the users whose feeds are complete; early users stay pending and are ranked once more."""
        early = {user_id: one for user_id, one in work.items() if self._is_early(one)}
        self._early = {user_id: one for user_id, one in self._early.items() if user_id not in work} | early
        complete = {user_id: one for user_id, one in work.items() if user_id not in early}
        for user_id in complete:
            self._until_s.pop(user_id, None)
        return complete

    def _pop_complete(self) -> dict[str, Work]:
        """Remove and return the early users whose items have arrived or whose deadline has passed."""
        complete = {user_id: one for user_id, one in self._early.items() if not self._is_early(one)}
        for user_id in complete:
            del self._early[user_id]
        return complete

    def _is_early(self, work: Work) -> bool:
        """Return whether the catalog snapshot still lacks items fetched for a user, before the deadline."""
        now_s, features = asyncio.get_running_loop().time(), work[1]
        return bool(self._context.catalog.newer_items(features.prefetched)) and now_s < self._until_s.setdefault(
            features.user_id, now_s + self._fetched_item_timeout_s
        )

    def _default_feed(self) -> Feed:
        now_ms = self._context.now_ms()
        features = Features(
            user_id=DEFAULT_FEED, version=now_ms, watermark=self._context.catalog.watermark, event_count=0
        )
        params = self._experiments.default()
        params = replace(params, rank=params.rank.without_exploration())
        ranked_feed = self._ranked(features, params, at_ms=stream_time_ms(features, self._context.catalog))
        self._outcomes.show_newcomers(ranked_feed)
        return ranked_feed.feed

    def _ranked(self, features: Features, params: ArmParams, *, at_ms: int, is_shadow: bool = False) -> RankedFeed:
        catalog, blender, now_ms = self._context.catalog, self._context.blender, self._context.now_ms()
        llm = self._llm_scores.get(features.user_id, now_ms=now_ms)
        if llm is not None:
            llm = replace(llm, weights=params.llm_blend)
        candidates = build_candidates(features, catalog, params.rank, at_ms=at_ms)
        if not is_shadow:
            self.removed_counts.update(candidates.removed_counts)
        ranked_feed = rank_candidates(candidates, catalog, blender, params.rank, now_ms=now_ms, llm=llm)
        return replace(ranked_feed, feed=with_arms(ranked_feed.feed, params.arms))

    async def _refresh(self) -> bool:
        """Rebuild the stale lists of the catalog snapshot, at a limited rate; return whether any was rebuilt."""
        loop = asyncio.get_running_loop()
        pause_s = max(_REFRESH_S * (_YIELD / 2 if self._context.backlog else 1.0), _PAUSE * self._refresh_s)
        if loop.time() - self._refreshed_s < pause_s:
            return False
        began_s = thread_time()
        is_new = self._context.catalog.refresh()
        self._refreshed_s, self._refresh_s = loop.time(), thread_time() - began_s
        return is_new

    async def _wait_for_work(self) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), _REFRESH_S)
        except TimeoutError:
            return

    async def _yield_to_folding(self, spent_s: float) -> None:
        """Leave the event loop to folding while a backlog waits, and folding need not wait for feeds itself."""
        until_s = asyncio.get_running_loop().time() + _YIELD * spent_s
        while self._context.folds_backlog() and asyncio.get_running_loop().time() < until_s:  # noqa: ASYNC110 - it is a set
            await asyncio.sleep(_LOOK_S)

    async def _refresh_default_feed(self) -> None:
        """Write the default feed; log a failure, since there is no record that could become a dead letter."""
        await self._finish_write()
        try:
            await retry_until_available(
                lambda: self._store.write([self._default_feed()]), "everyone's feed waits for the store"
            )
        except Exception:
            _LOG.exception("the default feed was not written")

    async def _start_write(self, rankings: Sequence[Ranking], work: dict[str, Work]) -> None:
        """Start to write feeds, after the write before has ended."""
        await self._finish_write()
        kept_rankings = [one for one in rankings if not self._is_erased(one.feed.user_id, one.feed.features_version)]
        self._writing = asyncio.create_task(self._write(kept_rankings, self._queue.ack_counts(work)))
        await asyncio.sleep(0)  # starts the write before the next users are ranked

    async def _finish_write(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def _write(self, rankings: Sequence[Ranking], pending_acks: dict[str, int]) -> None:
        """Write feeds, however long the store is unavailable, publish them, and acknowledge their work."""
        await self._context.dead_letters.write(
            [(one.record, one.feed) for one in rankings],
            lambda some: self._store.write([feed for _, feed in some]),
            stage="rank.write",
            log_message="feeds wait for the store",
        )
        for one in rankings:
            self._context.publisher.produce(FEEDS, one.feed)
            self._exposures.record(one.feed.user_id, one.feed.arms, first_at=one.feed.generated_at)
            if one.shadow_comparison is not None:
                self._context.publisher.produce(SHADOW_COMPARISONS, one.shadow_comparison)
        await self._context.publisher.wait_for_capacity()
        for release in self._queue.acknowledge(pending_acks):
            release()
