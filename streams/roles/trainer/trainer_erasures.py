"""Erasures in the trainer: the weights of users' own.

The trainer follows its topics without a group, from the offsets in its versions. For erasure requests it commits
offsets, once the weights are gone: others see by them that it has erased its part.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from infra.kafka.consumer import kafka_consumer, partitions_of, started
from schemas.types import ErasureRequest
from streams.roles.trainer.retraining import RetrainScheduler
from streams.runtime.role import Role
from streams.runtime.user_eraser import RedisUserEraser
from topics.topic import ERASURE_REQUESTS, USER_WEIGHTS

_COMMIT_S = 3_600.0
"""Time between two commits without a new request: brokers forget old offsets of a group without members."""
_LOG = logging.getLogger(__name__)


class TrainerErasures:
    """Erases users' own weights.

    Args:
        role: The running role.
        scheduler: Holds the weights, and those of a fit in progress.
        group_id: The consumer group whose offsets tell what is erased.
    """

    def __init__(self, role: Role, scheduler: RetrainScheduler, *, group_id: str) -> None:
        self._role, self._scheduler, self._group_id = role, scheduler, group_id
        self._eraser = RedisUserEraser(role.redis, role.name)
        self._committed_s = -_COMMIT_S

    async def start(self) -> dict[TopicPartition, int]:
        """Return the offsets of the requests to follow from: the committed ones, else the beginning."""
        partitions = partitions_of(ERASURE_REQUESTS)
        servers = self._role.settings.kafka_bootstrap_servers
        async with started(kafka_consumer(servers, group_id=self._group_id)) as consumer:
            starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
            commits = {tp: await consumer.committed(tp) for tp in partitions}
        return {tp: max(start, commits[tp] or 0) for tp, start in starts.items()}

    async def erase(self, request: ErasureRequest) -> None:
        """Forget the weights of a user, and delete the published ones."""
        if not await self._role.erasures.wait_for(request.event_id):
            return
        count = int(self._scheduler.live.weights.offset(request.user_id) is not None)
        self._scheduler.live.apply(request)
        self._scheduler.buffer(request)
        self._role.publisher.produce_bytes(USER_WEIGHTS, request.user_id.encode(), None)
        await self._role.publisher.flush()
        await self._eraser.erase(request, {"state: trainer": count})
        self._committed_s = -_COMMIT_S

    async def commit(self, consumer: Any, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the offsets of the requests after an erasure, and each hour.

        Args:
            consumer: The trainer's consumer.
            offsets: The next offset of each partition.
        """
        now_s = time.monotonic()
        if now_s - self._committed_s < _COMMIT_S:
            return
        try:
            await consumer.commit({tp: offset for tp, offset in offsets.items() if tp.topic == ERASURE_REQUESTS.name})
            self._committed_s = now_s
        except KafkaError as error:
            _LOG.warning("the offsets of erasure requests are not committed yet: %s", error)
