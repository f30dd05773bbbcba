"""Fetch service: answers a fetch request once, by the language model or else by a search of the catalogue.

model ──▶ suggestions ──▶ suggested items ──▶ known items of the catalogue, new items ──┐
└ no answer ──▶ catalogue search ───────────────────────────────────────────────────────┴──▶ content, cache
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import h3
import msgspec

from domain.identity import Identity
from domain.nearby import geo_location
from infra.kafka.publisher import RecordPublisher
from infra.llm import LlmError, Prompt
from infra.llm.client import Llm
from infra.postgres import pool
from infra.postgres.hybrid_search import HybridQuery, HybridSearch, KnownItem, Match
from infra.redis.stores.item_store import ItemStore
from infra.redis.stores.prefetch_store import Prefetched, PrefetchStore
from models.text.tfidf import TextEncoder
from schemas.types import Content, FetchRequest, FoundItem, Item
from streams.core.triggers.prefetch_request import ContentLocation
from streams.fetchers import Fetcher
from streams.fetchers.suggestion import MAX_SUGGESTIONS, SOURCE, SuggestedItem, Suggestions, suggested_items
from streams.runtime.retry import retry_until_available
from topics.topic import CONTENT, ITEMS

CATALOGUE, NOBODY = "catalogue", "none"
"""Sources of content without an answer of the model."""
LATE, OFF, CUT_OFF, WITHHELD, EMPTY, AWAY = "late", "off", "cut_off", "withheld", "empty", "catalogue_away"
"""Reasons for a fallback, besides those of `LlmError`: the request was too old, its category is no longer fetched, its
worker was killed repeatedly in the middle of it, the prompt lacks the location (the settings forbid it, or the user is
near no city), the model suggested nothing usable; with the last one the catalogue was unavailable as well."""
_ATTEMPTS = 2
"""Calls to the model per request: one more after a worker was killed in the middle of it."""
_TOKENS = 2_048
_EMPTY_S = 60.0
"""Time for which an empty answer is cached."""
_RETRY_S = 0.5
_WAITS = "a fetch waits for Redis"
_LOG = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The answer to a fetch request."""

    source: str
    items: list[FoundItem]
    fallback: str = ""
    new: Sequence[Item] = ()
    """Items to add to the item store; existing items stay unchanged, above all those of the catalogue."""
    prompt_hash: str = ""


class FetchService:
    """Answers requests. It waits while Redis or PostgreSQL is unavailable, as long as an answer is useful."""

    def __init__(
        self,
        llm: Llm,
        catalogue: HybridSearch,
        items: ItemStore,
        store: PrefetchStore,
        publisher: RecordPublisher,
        *,
        fetchers: Mapping[str, Fetcher],
        cached_s: Mapping[str, float],
        encoder: TextEncoder,
        deadline_s: float,
        now_ms: Callable[[], int],
    ) -> None:
        """Create the service.

        Args:
            llm: The language model.
            catalogue: Search over the catalogue.
            items: The item store.
            store: The store of prefetched answers.
            publisher: Publishes content and new items.
            fetchers: The fetchers by category.
            cached_s: Cache lifetime of an answer in seconds, by category.
            encoder: Encodes the words of a search.
            deadline_s: Largest age of a request in seconds.
            now_ms: The clock, in ms since the epoch.
        """
        self._llm, self._catalogue, self._items, self._store, self._publisher = llm, catalogue, items, store, publisher
        self._fetchers, self._cached_s, self._encoder = fetchers, cached_s, encoder
        self._deadline_ms, self._now_ms = round(deadline_s * 1_000), now_ms
        self.answer_counts: Counter[str] = Counter()
        """Numbers of requests by source of the answer and reason for the fallback."""

    async def answer(
        self, request: FetchRequest, *, asked_at: int, is_erased: Callable[[], bool] = lambda: False
    ) -> None:
        """Answer a request unless it was answered before.

        Args:
            request: The request.
            asked_at: Its append time, in ms since the epoch.
            is_erased: Returns whether its user has been erased since; then the answer is dropped.
        """
        until_ms = asked_at + self._deadline_ms
        if self._now_ms() > until_ms or request.category not in self._fetchers:
            await self._publish(request, FetchResult(NOBODY, [], LATE if request.category in self._fetchers else OFF))
            return
        attempt = await retry_until_available(lambda: self._store.count_attempt(request.event_id), _WAITS)
        if not attempt:
            return
        result = await self._result(request, attempt, until_ms)
        if is_erased():
            return
        await self._publish(request, result)
        await self._cache(request, result)
        if is_erased():  # by now, and the answer may have come after the erasure of the others
            await retry_until_available(lambda: self._store.clear(request.user_id), _WAITS)

    async def _result(self, request: FetchRequest, attempt: int, until_ms: int) -> FetchResult:
        fetcher = self._fetchers[request.category]
        try:
            if attempt > _ATTEMPTS:
                return await self._search(request, CUT_OFF, until_ms)
            if fetcher.depends_on_location and "where" not in msgspec.json.decode(request.about):
                return await self._search(request, WITHHELD, until_ms)
            return await self._ask(request, fetcher, until_ms)
        except LlmError as error:
            return await self._search(request, error.reason, until_ms)

    async def _ask(self, request: FetchRequest, fetcher: Fetcher, until_ms: int) -> FetchResult:
        """Answer from the language model.

        Raises:
            LlmError: the model gave no answer.
        """
        prompt = Prompt(
            system=fetcher.prompt,
            user=request.about,
            answer=Suggestions,
            purpose="fetch",
            version=fetcher.prompt_version,
            user_id=request.user_id,
            category=request.category,
            max_tokens=_TOKENS,
        )
        answer = await retry_until_available(lambda: self._llm.ask(prompt), _WAITS)
        suggestions = suggested_items(answer.value, request)
        if not suggestions:
            return await self._search(request, EMPTY, until_ms)
        keys = [suggestion.identity.key for suggestion in suggestions]
        known_items = await self._within(lambda: self._catalogue.known(request.category, keys), until_ms) or []
        suggestion_of = {self._item_id(suggestion, known_items): suggestion for suggestion in reversed(suggestions)}
        ids = [item_id for item_id in reversed(suggestion_of) if item_id not in request.known]
        stored_items = await retry_until_available(lambda: self._items.read(ids), _WAITS)
        return FetchResult(
            SOURCE,
            [FoundItem(item_id=item_id, reason=suggestion_of[item_id].reason) for item_id in ids],
            new=[
                suggestion_of[item_id].item
                for item_id, known_item in zip(ids, stored_items, strict=True)
                if known_item is None and item_id == suggestion_of[item_id].item.item_id
            ],
            prompt_hash=answer.hash,
        )

    async def _search(self, request: FetchRequest, fallback: str, until_ms: int) -> FetchResult:
        """Answer from the catalogue."""
        words = " ".join(request.words)
        query = HybridQuery(
            category=request.category,
            words=request.words,
            vector=self._encoder.encode([words])[0].tolist() if words.strip() else None,
            user=geo_location(request.cell, request.city),
            excluded_ids=request.known,
            limit=MAX_SUGGESTIONS,
        )
        matches = await self._within(lambda: self._catalogue.search(query), until_ms)
        if matches is None:
            return FetchResult(NOBODY, [], AWAY)
        return FetchResult(
            CATALOGUE, [FoundItem(item_id=m.item_id, reason=_reason(m, request)) for m in matches], fallback
        )

    def _item_id(self, suggestion: SuggestedItem, known_items: Sequence[KnownItem]) -> str:
        """Return the id of the catalogue item that a suggestion matches, or else its own id."""
        same = (
            one for one in known_items if Identity(one.title_key, one.year, one.city_key).is_same(suggestion.identity)
        )
        near = (one.item_id for one in same if self._is_near(one, suggestion.item.cell))
        return next(near, suggestion.item.item_id)

    def _is_near(self, known_item: KnownItem, cell: str | None) -> bool:
        if known_item.latitude is None or known_item.longitude is None or cell is None:
            return True
        here = h3.cell_to_latlng(cell)
        return (
            float(h3.great_circle_distance(here, (known_item.latitude, known_item.longitude)))
            <= self._catalogue.radius_km
        )

    async def _publish(self, request: FetchRequest, result: FetchResult) -> None:
        if result.new:
            await self._publisher.publish(ITEMS, result.new)
        content = Content(
            request_id=request.event_id,
            user_id=request.user_id,
            category=request.category,
            reason=request.reason,
            source=result.source,
            fallback=result.fallback,
            items=result.items,
            cell=request.cell,
            city=request.city,
            prompt_version=self._prompt_version(request),
            prompt_hash=result.prompt_hash,
            requested_at=request.occurred_at,
            occurred_at=self._now_ms(),
        )
        await self._publisher.publish(CONTENT, [content])
        self.answer_counts[f"{result.source} {result.fallback}".strip()] += 1

    async def _cache(self, request: FetchRequest, result: FetchResult) -> None:
        now_ms = self._now_ms()
        cached_s = self._cached_s[request.category] if result.items else _EMPTY_S
        answer = Prefetched(
            request_id=request.event_id,
            category=request.category,
            place=ContentLocation(request.cell, request.city).key,
            city=request.city,
            source=result.source,
            fallback=result.fallback,
            reason=request.reason,
            items=result.items,
            prompt_version=self._prompt_version(request),
            prompt_hash=result.prompt_hash,
            fetched_at=now_ms,
            expires_at=now_ms + round(cached_s * 1_000),
        )
        await retry_until_available(lambda: self._store.write(request.user_id, answer), _WAITS)

    def _prompt_version(self, request: FetchRequest) -> str:
        fetcher = self._fetchers.get(request.category)
        return fetcher.prompt_version if fetcher else ""

    async def _within(self, ask: Callable[[], Awaitable[T]], until_ms: int) -> T | None:
        """Query PostgreSQL until it answers; return None after the deadline."""
        while True:
            try:
                return await ask()
            except pool.CONNECTION_ERRORS as error:
                _LOG.warning("a fetch waits for PostgreSQL: %s", error)
            if self._now_ms() > until_ms:
                return None
            await asyncio.sleep(_RETRY_S)


def _reason(match: Match, request: FetchRequest) -> str:
    """Return the reason shown for an item of the catalogue: a shared topic, or the location."""
    topics = {topic.casefold() for topic in match.topics}
    word = next((word for word in request.words if word.casefold() in topics), None)
    return f"You like {word}" if word else "Near you" if request.cell or request.city else ""
