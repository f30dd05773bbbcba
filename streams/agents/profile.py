"""Profile agent: profile-updates, profiles → merged profiles. Owns the table `profiles`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infra.kafka.partition import partition_of
from schemas.types import ErasureRequest, Profile, ProfileUpdate
from streams.core.position import Position
from streams.core.user import stated_profile
from streams.core.user.stated_profile import FORGOTTEN_AT, ProfileState
from streams.runtime.dead_letter_queue import Record
from streams.runtime.faust_role import RoleContext
from streams.runtime.state.record_cache import RecordCache
from streams.transport import Batch
from topics.topic import ERASURE_REQUESTS, PARTITIONS, PROFILE_UPDATES, PROFILES

INPUT_TOPICS = (PROFILE_UPDATES, PROFILES, ERASURE_REQUESTS)


class ProfileAgent:
    """Keeps the newest record of each user on `profiles` equal to the merge of all of the user's statements.

    It reads `profiles` as well, because other producers publish whole profiles there. Where a record differs from the
    merged profile, the agent publishes the merged profile again after it.
    """

    def __init__(self, context: RoleContext, table: Any) -> None:
        self._context, self._publisher = context, context.publisher
        self._decoders = {
            PROFILE_UPDATES.name: context.decoder(PROFILE_UPDATES, "profile"),
            # Unusable profiles are skipped here: the user agent sends them to the dead-letter topic.
            PROFILES.name: context.silent_decoder(PROFILES, "profile", tombstones=True),
            ERASURE_REQUESTS.name: context.silent_decoder(ERASURE_REQUESTS, "profile"),
        }
        self._states = RecordCache(table, ProfileState, context.publisher, new=ProfileState)
        self._pending_users: dict[int, dict[str, None]] = {}
        """Users with an unpublished profile, by partition."""
        self.checkpoint = context.checkpoint(emit=self._emit_all, states=self._states)

    async def process(self, event: Any) -> None:
        """Merge one batch, and publish the changed profiles."""
        batch: Batch = event.value
        usable = await self._decoders[batch.topic].decode(batch)
        if batch.topic == ERASURE_REQUESTS.name:
            await self._erase(event, await self._context.known_erasures(usable))
            return
        if not self._context.app.is_live(event):
            return
        for record, value in usable:
            try:
                self._fold(batch, record, value)
            except Exception as error:
                self._context.dead_letters.put(record, error, stage="profile.fold")
        self.checkpoint.add([event])
        self._emit(batch.partition)
        await self._publisher.wait_for_capacity()

    def drop(self) -> None:
        """Discard all state that is not durable: its events are read again after a rebalance."""
        self.checkpoint.drop()
        self._states.drop()
        self._pending_users.clear()

    async def _erase(self, event: Any, requests: Sequence[ErasureRequest]) -> None:
        """Delete the profiles of erased users; the user agent reports unusable requests."""
        if not self._context.app.is_live(event):
            return
        partition = event.value.partition
        for request in requests:
            erased_at = self._context.erasures.erased_at(request.user_id)
            if self._states.delete_older(partition, request.user_id, erased_at):
                self._pending_users.get(partition, {}).pop(request.user_id, None)
                headers = {FORGOTTEN_AT: str(erased_at).encode()}
                self._publisher.produce_bytes(PROFILES, request.user_id.encode(), None, headers=headers)
        self.checkpoint.add([event])

    def _fold(self, batch: Batch, record: Record, value: ProfileUpdate | Profile | None) -> None:
        partition, key = batch.partition, record.key or b""
        if partition_of(key, PARTITIONS) != partition:
            if batch.topic == PROFILE_UPDATES.name:  # the user agent forwards misplaced profiles
                self._publisher.produce_bytes(record.topic, record.key, record.value)
            return
        user_id = key.decode()
        state = self._states.get(partition, user_id)
        position = Position.of(record)
        if state.is_new:
            state.since = position.append_ms
        if isinstance(value, ProfileUpdate):
            is_changed = differs = stated_profile.fold_update(state, value, position)
        elif value is not None:
            is_changed = stated_profile.fold_profile(state, value, position)
            differs = state.profile != value
        else:
            is_changed = stated_profile.fold_tombstone(state, record)
            differs = state.profile is not None
        if is_changed:
            self._states.touch(partition, user_id)
        if differs:
            self._pending_users.setdefault(partition, {})[user_id] = None

    def _emit(self, partition: int) -> None:
        for user_id in self._pending_users.pop(partition, ()):
            state = self._states.get(partition, user_id)
            if state.profile is not None:
                self._publisher.produce(PROFILES, state.profile)
            else:
                headers = {FORGOTTEN_AT: str(state.forgotten_at).encode()}
                self._publisher.produce_bytes(PROFILES, user_id.encode(), None, headers=headers)

    def _emit_all(self) -> None:
        for partition in list(self._pending_users):
            self._emit(partition)
