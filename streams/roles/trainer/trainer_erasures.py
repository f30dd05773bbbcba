"""Erasures in the trainer: states, personal weights, and the snapshots that hold them.

The trainer follows its topics without a group, from the offsets in its snapshots. For erasure requests it commits
offsets as well, once no snapshot holds the users any more: others see by them that it has erased its part.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError

from domain.state import State
from infra.kafka.consumer import kafka_consumer, partitions_of, started
from schemas.types import ErasureRequest
from streams.roles.trainer.snapshot_store import Offsets
from streams.roles.trainer.snapshot_writer import SnapshotWriter
from streams.runtime.role import Role
from streams.runtime.user_eraser import RedisUserEraser
from topics.topic import ERASURE_REQUESTS, USER_WEIGHTS

_PAUSE_S = 10.0
"""Least time between two replacements of the snapshots."""
_COMMIT_S = 3_600.0
"""Time between two commits without a new request: brokers forget old offsets of a group without members."""
_LOG = logging.getLogger(__name__)


class TrainerErasures:
    """The erasures that the snapshots do not reflect yet."""

    def __init__(self, role: Role, snapshots: SnapshotWriter) -> None:
        self._role, self._snapshots = role, snapshots
        self._eraser = RedisUserEraser(role.redis, role.name)
        self._pending: list[tuple[ErasureRequest, int]] = []
        """Requests, each with the number of states that were erased."""
        self._has_old_snapshots = False
        self._replaced_s = self._committed_s = -_COMMIT_S

    async def start(self, starts: Offsets) -> Offsets:
        """Return the offsets of the requests to follow from.

        Without a snapshot the histories to read are those without the users that were erased so far: their requests
        need not be read.

        Args:
            starts: The offsets of the snapshot; empty without one.
        """
        partitions = partitions_of(ERASURE_REQUESTS)
        async with started(kafka_consumer(self._role.settings.kafka_bootstrap_servers)) as consumer:
            ends: Offsets = await consumer.end_offsets(partitions)
        if starts:
            return {tp: starts.get(tp, 0) for tp in partitions}
        self._has_old_snapshots = any(ends.values())
        await self._role.erasure_follower.catch_up()
        return ends

    def add(self, request: ErasureRequest, *, is_known: bool) -> None:
        """Delete the published weights of an erased user, and note that the snapshots must go.

        Args:
            request: The request.
            is_known: Whether the trainer had a state of the user.
        """
        self._role.publisher.produce_bytes(USER_WEIGHTS, request.user_id.encode(), None)
        self._pending.append((request, int(is_known)))

    async def commit(self, consumer: Any, begin: Callable[[], Callable[[], State]], offsets: Offsets) -> None:
        """Replace the snapshots if users were erased, at a limited rate, then commit the offsets of the requests.

        Args:
            consumer: The trainer's consumer.
            begin: See `SnapshotWriter.take_if_due`.
            offsets: The next offset of each partition.
        """
        now_s = time.monotonic()
        has_erased = bool(self._pending) or self._has_old_snapshots
        if not has_erased and now_s - self._committed_s < _COMMIT_S:
            return
        if has_erased:
            if now_s - self._replaced_s < _PAUSE_S:
                return
            await self._snapshots.replace(begin, offsets)
            self._replaced_s, self._has_old_snapshots = now_s, False
            pending, self._pending = self._pending, []
            for request, count in pending:
                await self._eraser.erase(request, {"state: trainer": count})
        try:
            await consumer.commit({tp: offset for tp, offset in offsets.items() if tp.topic == ERASURE_REQUESTS.name})
            self._committed_s = now_s
        except KafkaError as error:
            _LOG.warning("the offsets of erasure requests are not committed yet: %s", error)
            self._committed_s = -_COMMIT_S
