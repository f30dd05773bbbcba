"""Retrieve agent: triggers → fetch requests, for the categories without a cached answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from infra.kafka.partition import partition_of
from infra.redis.stores.prefetch_store import PrefetchQuestion, PrefetchSlot, PrefetchStore
from schemas.types import FetchRequest, Trigger
from streams.agents.agent_context import AgentContext
from streams.core.params import PrefetchParams
from streams.core.triggers import prefetch_request
from streams.core.user.user_state import UserState
from streams.fetchers import Fetcher
from streams.runtime.dead_letter_queue import Record
from streams.transport import Batch
from topics.topic import FETCH_REQUESTS, PARTITIONS, TRIGGERS

INPUT_TOPICS = (TRIGGERS,)
TriggerRequests = tuple[Record, list[FetchRequest]]
"""A trigger's record, and the fetch requests that it causes."""


class RetrieveAgent:
    """Requests content ahead of demand; it reads the states of the user agent.

    After a crash between publishing a request and noting it, the request is published once more under the same id.
    """

    def __init__(
        self,
        context: AgentContext,
        users: Callable[[int, str], UserState | None],
        store: PrefetchStore,
        fetchers: dict[str, Fetcher],
        params: PrefetchParams,
    ) -> None:
        self._context, self._users, self._store = context, users, store
        self._fetchers, self._params = fetchers, params
        self._deadline_s = context.settings.fetch_deadline_s
        # Unusable records are skipped here: the user agent sends them to the dead-letter topic.
        self._decoder = context.silent_decoder(TRIGGERS, "retrieve")
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Publish the fetch requests for the triggers of one batch."""
        batch: Batch = event.value
        entries: list[TriggerRequests] = []
        for record, trigger in await self._decoder.decode(batch):
            if trigger.kind in prefetch_request.PREFETCH_KINDS and self._is_timely(record.timestamp):
                try:
                    entries.append((record, self._requests(batch.partition, trigger)))
                except Exception as error:
                    self._context.dead_letters.put(record, error, stage="retrieve.requests")
        entries = [(record, requests) for record, requests in entries if requests]
        await self._context.dead_letters.write(
            entries, self._ask, stage="retrieve.ask", log_message="triggers wait for the store"
        )
        self.checkpoint.add([event])

    def drop(self) -> None:
        """Discard the unacknowledged events: they are read again after a rebalance."""
        self.checkpoint.drop()

    def _is_timely(self, appended_at: int) -> bool:
        return self._context.now_ms() - appended_at <= self._deadline_s * 1_000

    def _requests(self, partition: int, trigger: Trigger) -> list[FetchRequest]:
        state = self._users(partition, trigger.user_id)
        if state is None:
            if partition_of(trigger.user_id.encode(), PARTITIONS) != partition:
                return []  # the user agent forwards it to the user's partition
            state = UserState(trigger.user_id)
        return prefetch_request.build_fetch_requests(
            trigger,
            state,
            prefetch_request.content_location(state, self._params),
            self._fetchers.values(),
            title_of=self._context.catalog.title,
            params=self._params,
        )

    async def _ask(self, entries: Sequence[TriggerRequests]) -> None:
        """Publish the requests whose slots are empty; for each slot the first request."""
        by_user = {requests[0].user_id: requests for _, requests in entries}
        by_slot = {_slot(request): request for _, requests in reversed(entries) for request in requests}
        await self._store.write_questions(
            {user_id: [self._question(request) for request in requests] for user_id, requests in by_user.items()}
        )
        flags = await self._store.are_missing(list(by_slot))
        due = {slot: by_slot[slot] for slot, is_wanted in zip(by_slot, flags, strict=True) if is_wanted}
        await self._context.publisher.publish(FETCH_REQUESTS, list(due.values()))
        await self._store.mark_pending(list(due), deadline_s=self._deadline_s)

    def _question(self, request: FetchRequest) -> PrefetchQuestion:
        fetcher = self._fetchers[request.category]
        return PrefetchQuestion(
            category=request.category,
            prompt_version=fetcher.prompt_version,
            system=fetcher.prompt,
            user=request.about,
        )


def _slot(request: FetchRequest) -> PrefetchSlot:
    return PrefetchSlot(
        request.user_id, request.category, prefetch_request.ContentLocation(request.cell, request.city).key
    )
