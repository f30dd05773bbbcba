"""Token agent: push-tokens → push requests that revoke a token from its previous user. Owns the table `tokens`."""

from __future__ import annotations

from typing import Any

from streams.core.push.token_owner import OWNER, TokenState, fold_registration
from streams.runtime.dead_letter_queue import Record
from streams.runtime.faust_role import RoleContext
from streams.runtime.state.record_cache import RecordCache
from streams.transport import Batch
from topics.topic import PUSH_REQUESTS, PUSH_TOKENS

INPUT_TOPICS = (PUSH_TOKENS,)


class TokenAgent:
    """Tracks the owner of each push token."""

    def __init__(self, context: RoleContext, table: Any) -> None:
        self._context, self._publisher = context, context.publisher
        self._decoder = context.decoder(PUSH_TOKENS, "token", tombstones=True)
        self._states = RecordCache(table, TokenState, context.publisher, new=TokenState)
        self.checkpoint = context.checkpoint(states=self._states)

    async def process(self, event: Any) -> None:
        """Fold the registrations of one batch."""
        batch: Batch = event.value
        usable = await self._decoder.decode(batch)
        if not self._context.app.is_live(event):
            return
        for record, registration in usable:
            if registration is None:
                self._release(record)
                continue
            try:
                revocation = fold_registration(self._states.get(batch.partition, registration.token), registration)
            except Exception as error:
                self._context.dead_letters.put(record, error, stage="token.fold")
                continue
            self._states.touch(batch.partition, registration.token)
            if revocation is not None:
                self._publisher.produce(PUSH_REQUESTS, revocation)
        self.checkpoint.add([event])
        await self._publisher.wait_for_capacity()

    def _release(self, record: Record) -> None:
        """Forget a token that its owner has released, unless it has another owner by now."""
        token = (record.key or b"").decode()
        state = self._states.peek(record.partition, token)
        owner = None if state is None else state.owner
        if owner is not None and owner.user_id.encode() == dict(record.headers).get(OWNER):
            self._states.delete(record.partition, token)

    def drop(self) -> None:
        """Discard all state that is not durable: its events are read again after a rebalance."""
        self.checkpoint.drop()
        self._states.drop()
