"""Collector: lists of the external API → items and interactions, page by page.

The records of a page are published before its number is stored, so a crash repeats one page at most. Repeated records
are not published again. Invalid records become dead letters.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from infra.kafka.dead_letter_size import fit_to_topic
from infra.kafka.publisher import RecordPublisher
from infra.redis.stores.collection_store import Collection, CollectionStore
from infra.socialverse import CollectError
from schemas import record_limit
from schemas.text import canonical
from schemas.types import DeadLetter, Interaction, Item
from streams.core.item import socialverse_mapping
from streams.runtime.dead_letter_queue import reason_and_detail
from streams.runtime.retry import write_one_by_one
from topics.topic import DEAD_LETTERS, INTERACTIONS, ITEMS, Topic

T = TypeVar("T")

USERS, POSTS = "all-users", "all-posts"
_STAGE = "collect"
_LOG = logging.getLogger(__name__)


class Pages(Protocol):
    """The source of records."""

    async def page(self, collection: str, page: int, page_size: int) -> list[msgspec.Raw]:
        """Return the records of one page; none past the last page.

        Args:
            collection: The name of the list.
            page: The number of the page, from 1.
            page_size: Records per page.

        Raises:
            CollectError: the page cannot be read.
        """
        ...


class Collector:
    """Collects lists of the external API, one at a time."""

    def __init__(
        self,
        pages: Pages,
        publisher: RecordPublisher,
        store: CollectionStore,
        *,
        now_ms: Callable[[], int],
        rating_scale: float,
        on_page: Callable[[Collection], None] = lambda _: None,
    ) -> None:
        """Create a collector.

        Args:
            pages: The source of the records.
            publisher: Publishes items, interactions and dead letters.
            store: Stores the progress of each collection, user names and the ids of published records.
            now_ms: The clock, in ms since the epoch.
            rating_scale: The highest rating of the topics; the external API rates in percent.
            on_page: Called with the collection after each page.
        """
        self._pages, self._publisher, self._store = pages, publisher, store
        self._now_ms, self._on_page, self._rating_scale = now_ms, on_page, rating_scale

    async def collect(self, name: str, *, request_id: str, page: int = 1, page_size: int = 1_000) -> Collection:
        """Collect a list and return the final state of the collection.

        An interrupted request resumes at its page; a request that was answered before is not repeated.

        Args:
            name: The name of the list.
            request_id: The id of the request.
            page: The first page, from 1.
            page_size: Records per page.
        """
        now_ms = self._now_ms()
        state = (await self._store.read())[name]
        if state.request_id == request_id and state.state == "done":
            return state
        if state.request_id != request_id or state.state != "running":
            state = Collection(
                name=name, state="running", request_id=request_id, page=page, page_size=page_size, started_at=now_ms
            )
            await self._note(state)
        if name in socialverse_mapping.ACTIONS:
            await self._collect_users_first(request_id)
        try:
            return await self._collect(state)
        except CollectError as error:
            _LOG.warning("the collection failed: %s", error)
            last_state = (await self._store.read())[name]
            return await self._note(replace(last_state, state="failed", error=str(error)))

    async def _collect_users_first(self, request_id: str) -> None:
        """Collect the names of the users before their interactions, unless that was done before."""
        if (await self._store.read())[USERS].state != "done":
            await self.collect(USERS, request_id=f"{request_id}-users")

    async def _collect(self, state: Collection) -> Collection:
        before: list[msgspec.Raw] = []
        while True:
            records = await self._pages.page(state.name, state.page, state.page_size)
            if not records or records == before:  # past the end, some lists repeat their last page
                return await self._note(replace(state, state="done"))
            state = await self._note(await self._publish_page(state, records))
            before = records

    async def _publish_page(self, state: Collection, records: Sequence[msgspec.Raw]) -> Collection:
        """Publish the records of a page, and return the progress of the collection."""
        bad: list[DeadLetter] = []
        count = repeat_count = 0
        if state.name == USERS:
            usernames = dict(user for user, _ in self._parse(state, records, bad, socialverse_mapping.user))
            await self._store.write_usernames(usernames)
            count = len(usernames)
        elif state.name == POSTS:
            items = self._parse(state, records, bad, self._item)
            count = await self._publish(ITEMS, state, items, bad)
        else:
            count, repeat_count = await self._interactions(state, records, bad)
        await self._publisher.publish(DEAD_LETTERS, bad)
        return replace(
            state,
            page=state.page + 1,
            records=state.records + len(records),
            published=state.published + count,
            repeated=state.repeated + repeat_count,
            bad=state.bad + len(bad),
        )

    async def _interactions(
        self, state: Collection, records: Sequence[msgspec.Raw], bad: list[DeadLetter]
    ) -> tuple[int, int]:
        """Publish the new interactions of a page; return the numbers of published and of repeated ones."""
        engagements = self._parse(state, records, bad, socialverse_mapping.engagement)
        by_id = {str(engagement.id): (engagement, data) for engagement, data in engagements}
        fresh = await self._store.are_new(state.name, list(by_id))
        new_engagements = {number: one for (number, one), is_new in zip(by_id.items(), fresh, strict=True) if is_new}
        names = await self._store.usernames([str(engagement.user_id) for engagement, _ in new_engagements.values()])
        events: list[tuple[Interaction, msgspec.Raw]] = []
        for (engagement, data), username in zip(new_engagements.values(), names, strict=True):
            try:
                events.append((self._event(state.name, engagement, username), data))
            except Exception as error:
                bad.append(self._dead_letter(state, bytes(data), error))
        count = await self._publish(INTERACTIONS, state, events, bad)
        await self._store.mark_published(state.name, list(new_engagements))
        return count, len(engagements) - len(new_engagements)

    async def _publish(
        self,
        topic: Topic,
        state: Collection,
        entries: Sequence[tuple[msgspec.Struct, msgspec.Raw]],
        bad: list[DeadLetter],
    ) -> int:
        """Publish records and return their number; dead letters for the refused ones are added to `bad`."""
        before = len(bad)
        await write_one_by_one(
            entries,
            lambda some: self._publisher.publish(topic, [value for value, _ in some]),
            lambda entry, error: bad.append(self._dead_letter(state, bytes(entry[1]), error)),
            log_message="records wait for their topic",
        )
        return len(entries) - (len(bad) - before)

    def _event(self, name: str, engagement: socialverse_mapping.EngagementRecord, username: str | None) -> Interaction:
        event = canonical(socialverse_mapping.interaction(name, engagement, username, rating_scale=self._rating_scale))
        record_limit.check(event, now_ms=self._now_ms())
        return event

    def _item(self, data: msgspec.Raw) -> Item:
        item = canonical(socialverse_mapping.post(data))
        record_limit.check(item, now_ms=self._now_ms())
        return item

    def _parse(
        self,
        state: Collection,
        records: Sequence[msgspec.Raw],
        bad: list[DeadLetter],
        read: Callable[[msgspec.Raw], T],
    ) -> list[tuple[T, msgspec.Raw]]:
        """Return the parsed records with their raw data; dead letters for the others are added to `bad`."""
        entries = []
        for data in records:
            try:
                entries.append((read(data), data))
            except Exception as error:
                bad.append(self._dead_letter(state, bytes(data), error))
        return entries

    def _dead_letter(self, state: Collection, data: bytes, error: Exception) -> DeadLetter:
        """Return the dead letter of a record; the same record always yields the same id."""
        name = hashlib.blake2b(data, digest_size=8).hexdigest()
        reason, detail = reason_and_detail(error)
        dead_letter = DeadLetter(
            letter_id=f"{_STAGE}-{state.name}-{name}",
            topic=f"{_STAGE}.{state.name}",
            partition=0,
            offset=state.page,
            timestamp=self._now_ms(),
            value=data,
            stage=_STAGE,
            reason=reason,
            detail=detail,
            failed_at=self._now_ms(),
        )
        return fit_to_topic(dead_letter)

    async def _note(self, state: Collection) -> Collection:
        state = replace(state, updated_at=self._now_ms())
        await self._store.write(state)
        self._on_page(state)
        return state
