"""User agent: events of users → features, item signals, link updates, triggers. Owns the table `users`.

The users of a batch are ranked in this process by the features just folded, and the batch is acknowledged once their
feeds are written. A batch that is read again after a crash changes no state, but its users are ranked again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from infra.kafka.folded_header import MOST_POSITIONS, EventPosition, folded_header
from infra.kafka.partition import partition_of
from infra.kafka.publisher import Publisher
from schemas.types import (
    Content,
    ErasureRequest,
    Exposure,
    Features,
    Interaction,
    Location,
    Profile,
    Trigger,
    UserWeights,
)
from streams.agents.agent_context import AgentContext
from streams.agents.exposures import ExposureRecorder
from streams.agents.outcomes import OutcomeRecorder
from streams.agents.rank import Ranker
from streams.core.heavy_hitters import HeavyHitters
from streams.core.item.embedding_record import with_embedding
from streams.core.item.item_stats import ItemSignal, to_records
from streams.core.item.link_events import EVENTS, LinkEvent, link_event, link_updates
from streams.core.learning import visits
from streams.core.learning.repeats import returns
from streams.core.learning.visits import Visit
from streams.core.params import UserParams
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.triggers.active_users import FIELDS, ActiveUsers, active_user
from streams.core.user import day_limits, user_state
from streams.core.user.stated_profile import forgotten_at
from streams.core.user.user_state import UserState
from streams.runtime.dead_letter_queue import Record
from streams.runtime.decode import Decoder
from streams.runtime.state.record_cache import RecordCache
from streams.runtime.user_eraser import UserEraser
from streams.transport import Batch
from topics.topic import (
    CONTENT,
    ERASURE_REQUESTS,
    EXPOSURES,
    FEATURES,
    FEEDS,
    INTERACTIONS,
    ITEM_SIGNALS,
    LINK_UPDATES,
    LLM_SCORES,
    LOCATIONS,
    PARTITIONS,
    PROFILES,
    TRIGGERS,
    USER_WEIGHTS,
    VISITS,
    Topic,
)

_PARTITIONED_ITEMS = 1 << 16
"""Items whose partitions are remembered: a look-up takes a hundredth of the time of the hash."""

INPUT_TOPICS: tuple[Topic, ...] = (
    *(INTERACTIONS, LOCATIONS, PROFILES, TRIGGERS, CONTENT, USER_WEIGHTS, EXPOSURES),
    ERASURE_REQUESTS,
)
_SILENT = (UserWeights, Exposure)
"""Records that change a state and not yet the features that follow from it."""
_TOMBSTONES = (FEATURES, FEEDS, LLM_SCORES, USER_WEIGHTS)
"""Compacted topics on which an erased user is deleted; the profile and the push agent delete from theirs."""


class UserAgent:
    """Folds events into user states, publishes what changes by them, and has the users ranked."""

    def __init__(
        self,
        context: AgentContext,
        table: Any,
        params: UserParams,
        *,
        active_users: ActiveUsers,
        ranker: Ranker,
        outcomes: OutcomeRecorder,
        exposures: ExposureRecorder,
        eraser: UserEraser,
    ) -> None:
        """Create the agent.

        Args:
            context: The clients of the role and the catalog snapshot.
            table: The Faust table of the states.
            params: The parameters of the fold.
            active_users: Notes the changes of active users.
            ranker: Ranks the users by their features.
            outcomes: Records the outcomes of feeds.
            exposures: Is told which exposures of users were published before.
            eraser: Erases users from the store.
        """
        self._context, self._params, self._active_users = context, params, active_users
        self._ranker, self._outcomes, self._exposures, self._eraser = ranker, outcomes, exposures, eraser
        self._publisher: Publisher = context.publisher
        self._decoders: dict[str, Decoder] = {
            topic.name: context.decoder(topic, "user", tombstones=topic is PROFILES) for topic in INPUT_TOPICS
        }
        self._states = RecordCache(table, UserState, context.publisher, new=UserState)
        self._pending_events: dict[int, dict[str, deque[EventPosition]]] = {}
        """Users with changed, unpublished features, by partition, with the last events that changed them."""
        self._waiting_batches: dict[int, list[tuple[Any, dict[str, Record]]]] = {}
        """Events whose users are not queued for ranking yet, each with the last record of every user, by partition."""
        self._signals: dict[int, dict[str, list[ItemSignal]]] = {}
        """Unpublished item signals by partition and item; a partition with any is in `_pending_events` as well."""
        self._link_events: dict[int, list[LinkEvent]] = {}
        """Unpublished link events by partition."""
        self._visits: dict[int, list[Visit]] = {}
        """Unpublished visits by partition."""
        self.evictions: Counter[str] = Counter()
        """Entries evicted from full states, by collection."""
        self.limit_counts: Counter[str] = Counter()
        """Interactions with little or no weight in item statistics, by the daily limit that the user has exceeded."""
        self.rates = HeavyHitters(context.now_ms)
        """Rates of interactions by user, by append time."""
        self.checkpoint = context.checkpoint(emit=self._emit_all, states=self._states)
        self._folds: dict[type, Callable[[UserState, Any, Position], None]] = {
            Interaction: self._fold_interaction,
            Location: self._fold_location,
            Profile: partial(user_state.fold_profile, evictions=self.evictions),
            Trigger: self._fold_trigger,
            Content: partial(user_state.fold_content, evictions=self.evictions),
            UserWeights: user_state.fold_weights,
            Exposure: user_state.fold_exposure,
        }

    async def process(self, event: Any) -> None:
        """Fold one batch; publish the changed features unless whole batches wait behind it."""
        batch: Batch = event.value
        await self._context.global_tables.ready.wait()
        usable = await self._decoders[batch.topic].decode(batch)
        if batch.topic == ERASURE_REQUESTS.name:
            await self._erase(event, await self._context.known_erasures(usable))
            return
        if not self._context.app.is_live(event):
            return
        users: dict[str, Record] = {}
        for record, value in usable:
            try:
                user_id = self._fold(batch.partition, record, value)
            except Exception as error:
                self._context.dead_letters.put(record, error, stage="user.fold")
            else:
                if user_id is not None:
                    users[user_id] = record
        self.checkpoint.add([event], pending=bool(users))
        if users:
            self._waiting_batches.setdefault(batch.partition, []).append((event, users))
        if not self._is_behind(batch):
            self._emit(batch.partition)
        await self._publisher.wait_for_capacity()

    def peek(self, partition: int, user_id: str) -> UserState | None:
        """Return the state of a user, read-only, or None; call it while an event of the partition is current."""
        state = self._states.peek(partition, user_id)
        return state if state is not None and state.version else None

    def features(self, partition: int, user_id: str) -> Features:
        """Return the current features of a user, empty ones for a new user; the condition of `peek` applies."""
        return self._snapshot(self.peek(partition, user_id) or UserState(user_id))

    def drop(self) -> None:
        """Discard all state that is not durable: its events are read again after a rebalance."""
        self.checkpoint.drop()
        self._ranker.drop()
        self._states.drop()
        self._pending_events.clear()
        self._waiting_batches.clear()
        self._signals.clear()
        self._link_events.clear()
        self._visits.clear()
        self.rates.clear()
        self._context.backlog.clear()

    def stored(self) -> Iterator[UserState]:
        """Yield the state of every user in the table, with the `FIELDS` of active users only."""
        return self._states.stored(*FIELDS)

    async def _erase(self, event: Any, requests: Sequence[ErasureRequest]) -> None:
        """Erase users: states, waiting work, published records, and what is in the store.

        A feed that is being written is waited for, so that nothing of an erased user is written afterwards.
        """
        await self._ranker.forget({request.user_id: self._newest_version(event, request) for request in requests})
        if not self._context.app.is_live(event):
            return
        deleted_counts = [self._delete(event.value.partition, request.user_id) for request in requests]
        for request, deleted_count in zip(requests, deleted_counts, strict=True):
            await self._eraser.erase(request, {"state: users": deleted_count})
        self.checkpoint.add([event])

    def _delete(self, partition: int, user_id: str) -> int:
        """Delete the state of an erased user and what was published of it; return the number of deleted states."""
        deleted_count = self._states.delete_older(partition, user_id, self._context.erasures.erased_at(user_id))
        if deleted_count:
            self._forget(partition, user_id)
            for topic in _TOMBSTONES:
                self._publisher.produce_bytes(topic, user_id.encode(), None)
        return deleted_count

    def _newest_version(self, event: Any, request: ErasureRequest) -> int:
        """Return the version of the features up to which feeds of an erased user must not be written any more."""
        erased_at = self._context.erasures.erased_at(request.user_id)
        state = self._states.peek(event.value.partition, request.user_id) if self._context.app.is_live(event) else None
        return erased_at if state is None or state.since > erased_at else max(erased_at, state.version)

    def _forget(self, partition: int, user_id: str) -> None:
        """Forget what waits to be published of a user, and what this process remembers beside the state."""
        self._pending_events.get(partition, {}).pop(user_id, None)
        for _, users in self._waiting_batches.get(partition, ()):
            users.pop(user_id, None)
        self._active_users.forget(user_id)
        self._outcomes.forget_user(user_id)
        self._exposures.forget_user(user_id)
        self.rates.forget(user_id)

    def _fold(self, partition: int, record: Record, value: Any) -> str | None:
        """Fold a record; return the id of its user if the user has to be ranked."""
        user_id = (record.key or b"").decode() if value is None else value.user_id
        state = self._states.get(partition, user_id)
        version = state.version
        if not version and partition_of(record.key or b"", PARTITIONS) != partition:
            self._forward(record)
            return None
        if not version and self._follows_from_erased(value):
            return None
        if value is None:
            user_state.forget_profile(state, forgotten_at(record), Position.of(record))
        else:
            self._folds[type(value)](state, value, Position.of(record))
        is_silent = isinstance(value, _SILENT)
        if state.version != version or is_silent:
            self._states.touch(partition, user_id)
        if state.version != version:
            pending_events = self._pending_events.setdefault(partition, {})
            if user_id not in pending_events:
                pending_events[user_id] = deque(maxlen=MOST_POSITIONS)
            pending_events[user_id].append(EventPosition(record.topic, partition, record.offset))
            return user_id
        # Appended before the last change: read again, perhaps, and then its feed may never have been written.
        return user_id if 0 < record.timestamp <= version and not is_silent else None

    def _follows_from_erased(self, value: Any) -> bool:
        """Return whether a record for a user without a state was caused by an event from before the user's erasure."""
        if isinstance(value, Exposure):
            return True  # a user is ranked for an event, which comes first
        if not isinstance(value, Content | Trigger):
            return False
        caused_at = value.requested_at if isinstance(value, Content) else value.occurred_at
        return self._context.erasures.covers(value.user_id.encode(), caused_at)

    def _forward(self, record: Record) -> None:
        """Forward a record to the user's partition: its producer does not partition as the Java client does."""
        headers = {name: value or b"" for name, value in record.headers}
        self._publisher.produce_bytes(record.topic, record.key, record.value, headers=headers)

    def _fold_interaction(self, state: UserState, event: Interaction, position: Position) -> None:
        self.rates.add(event.user_id, position.append_ms)
        subject = self._context.catalog.labels(event.item_id) or ItemLabels.of_event(event)
        share = day_limits.outcome_share(state, event.item_id or "", event.occurred_at)
        links, is_return = link_event(state, event, position, self._params), returns(state, event)
        signal = user_state.fold(state, event, position, subject=subject, params=self._params, evictions=self.evictions)
        if signal is not None and links is not None:
            self._link(position.partition, links)
            if is_return is not None:
                visit = Visit(position, subject.category, is_return)
                self._visits.setdefault(position.partition, []).append(visit)
            if signal.limit:
                self.limit_counts[signal.limit] += 1
            self._signals.setdefault(position.partition, {}).setdefault(signal.item_id, []).append(signal)
            self._outcomes.act(event, share=share)

    def _link(self, partition: int, event: LinkEvent) -> None:
        """Add a link event to those of its batch; so many that they fill a record are published at once."""
        events = self._link_events.setdefault(partition, [])
        events.append(event)
        if len(events) == EVENTS:
            self._emit_links(partition)

    def _emit_links(self, partition: int) -> None:
        for updates in link_updates(self._link_events.pop(partition, []), _item_partition):
            self._publisher.produce(LINK_UPDATES, updates)

    def _fold_location(self, state: UserState, event: Location, position: Position) -> None:
        trigger = user_state.fold_location(state, event, position, self._params)
        if trigger is not None:
            self._publisher.produce(TRIGGERS, trigger)

    def _fold_trigger(self, state: UserState, event: Trigger, position: Position) -> None:
        user_state.fold_trigger(state, event, position, self._params)

    def _emit(self, partition: int) -> None:
        """Publish the changes of a partition, and queue the users of its batches for ranking."""
        batches, positions_by_user = self._waiting_batches.pop(partition, []), self._pending_events.pop(partition, {})
        newest = self._snapshots(partition, dict.fromkeys(user_id for _, users in batches for user_id in users))
        for user_id, positions in positions_by_user.items():
            self._active_users.put(user_id, active_user(self._states.get(partition, user_id)))
            if user_id in newest:
                catalog = self._context.catalog
                features = with_embedding(newest[user_id], catalog.items, catalog.embeddings)
                self._publisher.produce(FEATURES, features, headers=folded_header(positions))
        for signals in self._signals.pop(partition, {}).values():
            for batch in to_records(signals):
                self._publisher.produce(ITEM_SIGNALS, batch)
        self._emit_links(partition)
        for record in visits.to_records(self._visits.pop(partition, [])):
            self._publisher.produce(VISITS, record)
        for event, users in batches:
            work = {user_id: (record, newest[user_id]) for user_id, record in users.items() if user_id in newest}
            if work:
                self._ranker.put(partial(self.checkpoint.release, event), work)
            else:
                self.checkpoint.release(event)

    def _snapshots(self, partition: int, user_ids: Iterable[str]) -> dict[str, Features]:
        """Return the features of users; a user whose features cannot be made is reported and left out."""
        snapshots: dict[str, Features] = {}
        for user_id in user_ids:
            state = self._states.get(partition, user_id)
            try:
                snapshots[user_id] = self._snapshot(state)
            except Exception as error:
                self._publisher.reject(FEATURES.name, user_id.encode(), error)
        return snapshots

    def _snapshot(self, state: UserState) -> Features:
        """Return the features of a user who is about to be ranked, perhaps under arms that were published before."""
        self._exposures.restore(state.user_id, state.exposures)
        return user_state.snapshot(state, self._params)

    def _emit_all(self) -> None:
        for partition in list(self._waiting_batches):
            self._emit(partition)

    def _is_behind(self, batch: Batch) -> bool:
        """Return whether whole batches wait behind this one, and note it for the other agents."""
        backlog, source = self._context.backlog, (batch.topic, batch.partition)
        if batch.remaining < self._context.settings.batch_records:
            backlog.discard(source)
        else:
            backlog.add(source)
        self.checkpoint.behind = bool(backlog)
        return source in backlog


@lru_cache(_PARTITIONED_ITEMS)
def _item_partition(item_id: str) -> int:
    return partition_of(item_id.encode(), PARTITIONS)
