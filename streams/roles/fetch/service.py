"""One fetch request, answered once: by the language model, or by the catalogue where the model cannot.

model ──▶ suggestions ──▶ offers ──▶ those that the catalogue knows, and new items ──┐
└ no answer ──▶ catalogue's search ──────────────────────────────────────────────────┴──▶ content, cache
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

from infra.kafka.publisher import Publishes
from infra.llm import LlmError, Prompt
from infra.llm.client import Llm
from infra.postgres import pool
from infra.postgres.hybrid_search import HybridQuery, HybridSearch, KnownItem, Match
from infra.redis.stores.item_store import ItemStore
from infra.redis.stores.prefetch_store import Prefetched, PrefetchStore
from models.text.tfidf import TextEncoder
from schemas.identity import Identity
from schemas.nearby import spot
from schemas.types import Content, FetchRequest, FoundItem, Item
from streams.core.triggers.prefetch_request import Place
from streams.fetchers import Fetcher
from streams.fetchers.suggestion import MOST, SOURCE, SuggestedItem, Suggestions, suggested_items
from streams.runtime.retry import retry_until_available
from topics.topic import CONTENT, ITEMS

CATALOGUE, NOBODY = "catalogue", "none"
"""Sources of content that the model did not give."""
LATE, OFF, CUT_OFF, WITHHELD, EMPTY, AWAY = "late", "off", "cut_off", "withheld", "empty", "catalogue_away"
"""Why it did not, besides the reasons of `LlmError`: the request was too old, its category is not fetched any more, its
worker was killed in the middle of it again and again, the model cannot be told where (the settings forbid it, or the
user is near no city), it suggested nothing of use; the last is why not even the catalogue did."""
_ATTEMPTS = 2
"""Times that the model is asked for one request: once more when a worker was killed meanwhile."""
_TOKENS = 2_048
_EMPTY_S = 60.0
"""How long it is remembered that nothing was found."""
_RETRY_S = 0.5
_WAITS = "a fetch waits for Redis"
_LOG = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What there is to answer with."""

    source: str
    items: list[FoundItem]
    fallback: str = ""
    new: Sequence[Item] = ()
    """Items that are not there yet; what is there stays as it is, above all an item of the catalogue."""
    prompt_hash: str = ""


class FetchService:
    """Answers requests. Redis and PostgreSQL being away is waited out, for as long as an answer is of use."""

    def __init__(
        self,
        llm: Llm,
        catalogue: HybridSearch,
        items: ItemStore,
        store: PrefetchStore,
        publisher: Publishes,
        *,
        fetchers: Mapping[str, Fetcher],
        cached_s: Mapping[str, float],
        encoder: TextEncoder,
        within_s: float,
        now_ms: Callable[[], int],
    ) -> None:
        """`cached_s` is how long an answer is cached, by category; `within_s` how old a request may be."""
        self._llm, self._catalogue, self._items, self._store, self._publisher = llm, catalogue, items, store, publisher
        self._fetchers, self._cached_s, self._encoder = fetchers, cached_s, encoder
        self._within_ms, self._now_ms = round(within_s * 1_000), now_ms
        self.answered: Counter[str] = Counter()
        """Requests by who answered, and why it was not the model."""

    async def answer(self, request: FetchRequest, *, asked_at: int) -> None:
        """Answer a request unless it was answered before; `asked_at` is when the broker took it."""
        until_ms = asked_at + self._within_ms
        if self._now_ms() > until_ms or request.category not in self._fetchers:
            await self._publish(request, FetchResult(NOBODY, [], LATE if request.category in self._fetchers else OFF))
            return
        attempt = await retry_until_available(lambda: self._store.begin(request.event_id), _WAITS)
        if not attempt:
            return
        found = await self._found(request, attempt, until_ms)
        await self._publish(request, found)
        await self._cache(request, found)

    async def _found(self, request: FetchRequest, attempt: int, until_ms: int) -> FetchResult:
        fetcher = self._fetchers[request.category]
        try:
            if attempt > _ATTEMPTS:
                return await self._search(request, CUT_OFF, until_ms)
            if fetcher.placed and "where" not in msgspec.json.decode(request.about):
                return await self._search(request, WITHHELD, until_ms)
            return await self._ask(request, fetcher, until_ms)
        except LlmError as error:
            return await self._search(request, error.reason, until_ms)

    async def _ask(self, request: FetchRequest, fetcher: Fetcher, until_ms: int) -> FetchResult:
        """Ask the model.

        Raises:
            LlmError: it gave no answer.
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
        told = suggested_items(answer.value, request)
        if not told:
            return await self._search(request, EMPTY, until_ms)
        keys = [offer.identity.key for offer in told]
        known = await self._within(lambda: self._catalogue.known(request.category, keys), until_ms) or []
        chosen = {self._recognised(offer, known): offer for offer in reversed(told)}
        ids = [item_id for item_id in reversed(chosen) if item_id not in request.known]
        stored = await retry_until_available(lambda: self._items.read(ids), _WAITS)
        return FetchResult(
            SOURCE,
            [FoundItem(item_id=item_id, reason=chosen[item_id].reason) for item_id in ids],
            new=[
                chosen[item_id].item
                for item_id, known_item in zip(ids, stored, strict=True)
                if known_item is None and item_id == chosen[item_id].item.item_id
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
            user=spot(request.cell, request.city),
            excluded_ids=request.known,
            limit=MOST,
        )
        matches = await self._within(lambda: self._catalogue.search(query), until_ms)
        if matches is None:
            return FetchResult(NOBODY, [], AWAY)
        return FetchResult(
            CATALOGUE, [FoundItem(item_id=m.item_id, reason=_why(m, request)) for m in matches], fallback
        )

    def _recognised(self, offer: SuggestedItem, known: Sequence[KnownItem]) -> str:
        """Return the id of the item that an offer means: one of the catalogue, or its own."""
        same = (one for one in known if Identity(one.title_key, one.year, one.city_key).is_same(offer.identity))
        near = (one.item_id for one in same if self._is_near(one, offer.item.cell))
        return next(near, offer.item.item_id)

    def _is_near(self, known: KnownItem, cell: str | None) -> bool:
        if known.latitude is None or known.longitude is None or cell is None:
            return True
        here = h3.cell_to_latlng(cell)
        return float(h3.great_circle_distance(here, (known.latitude, known.longitude))) <= self._catalogue.radius_km

    async def _publish(self, request: FetchRequest, found: FetchResult) -> None:
        if found.new:
            await self._publisher.publish(ITEMS, found.new)
        content = Content(
            request_id=request.event_id,
            user_id=request.user_id,
            category=request.category,
            reason=request.reason,
            source=found.source,
            fallback=found.fallback,
            items=found.items,
            cell=request.cell,
            city=request.city,
            prompt_version=self._prompt_version(request),
            prompt_hash=found.prompt_hash,
            requested_at=request.occurred_at,
            occurred_at=self._now_ms(),
        )
        await self._publisher.publish(CONTENT, [content])
        self.answered[f"{found.source} {found.fallback}".strip()] += 1

    async def _cache(self, request: FetchRequest, found: FetchResult) -> None:
        now_ms = self._now_ms()
        cached_s = self._cached_s[request.category] if found.items else _EMPTY_S
        answer = Prefetched(
            request_id=request.event_id,
            category=request.category,
            place=Place(request.cell, request.city).key,
            city=request.city,
            source=found.source,
            fallback=found.fallback,
            reason=request.reason,
            items=found.items,
            prompt_version=self._prompt_version(request),
            prompt_hash=found.prompt_hash,
            fetched_at=now_ms,
            expires_at=now_ms + round(cached_s * 1_000),
        )
        await retry_until_available(lambda: self._store.write(request.user_id, answer), _WAITS)

    def _prompt_version(self, request: FetchRequest) -> str:
        fetcher = self._fetchers.get(request.category)
        return fetcher.prompt_version if fetcher else ""

    async def _within(self, ask: Callable[[], Awaitable[T]], until_ms: int) -> T | None:
        """Ask PostgreSQL until it answers; None when that took too long."""
        while True:
            try:
                return await ask()
            except pool.AWAY as error:
                _LOG.warning("a fetch waits for PostgreSQL: %s", error)
            if self._now_ms() > until_ms:
                return None
            await asyncio.sleep(_RETRY_S)


def _why(match: Match, request: FetchRequest) -> str:
    """Say why the catalogue offers an item: what the user cares for and it is about, or where it is."""
    topics = {topic.casefold() for topic in match.topics}
    word = next((word for word in request.words if word.casefold() in topics), None)
    return f"You like {word}" if word else "Near you" if request.cell or request.city else ""
