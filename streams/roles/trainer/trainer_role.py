"""Trainer role: choices, visits → model versions, personal weights; full fits → item weights.

It learns what all users share. It is a batch consumer without a table: its state is in the records that it
publishes. A version names the offsets from which learning continues, so a start takes as long as its last
version is old, whatever the length of the history.

    start      the version in service and the personal weights
    live       choices: feature weights; visits: the categories that repeat; what changed is published periodically
    full fits  of the interactions, between the mini-batches: streams.roles.trainer.retraining
    daily      private statistics of items, where they are not exact: streams.roles.trainer.statistics_releaser
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from aiokafka import TopicPartition

from domain.timestamp import HOUR_MS
from infra import clock
from infra.kafka.admin.provision import consumer_group
from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.readers.record_window import offsets_since
from infra.redis.connection import StoreError
from infra.redis.stores.model_status import ModelStatusStore, RedisModelStatusStore
from infra.settings import Settings
from schemas.types import ModelVersion
from streams.core.ranking.pipeline import MODEL
from streams.core.ranking.stages.features import weights_in_order
from streams.roles.trainer.artifact_store import ArtifactStore
from streams.roles.trainer.online_learner import Offsets, OnlineLearner
from streams.roles.trainer.retraining import RetrainRequest, RetrainScheduler
from streams.roles.trainer.statistics_releaser import StatisticsReleaser
from streams.roles.trainer.trainer_erasures import TrainerErasures
from streams.runtime.core_params import private_stats_params
from streams.runtime.decode import Decoder
from streams.runtime.role import Role, open_role
from topics.topic import (
    CHOICES,
    ERASURE_REQUESTS,
    INTERACTIONS,
    ITEM_WEIGHTS,
    MODEL_VERSIONS,
    TRIGGERS,
    USER_WEIGHTS,
    VISITS,
)

_LEARNED = (CHOICES, VISITS)
_LEARNED_NAMES = {topic.name for topic in _LEARNED}
_FOLLOWED = (*_LEARNED, TRIGGERS, MODEL_VERSIONS, ERASURE_REQUESTS)
_PUBLISH_EVERY_S = 1.0
_USERS = 2_000
"""Users whose personal weights are published per second."""
_MAX_RECORDS = 1_000
_MIN_BYTES, _WAIT_MS = 64 << 10, 100
_BOARD_EVERY_S = _COUNT_EVERY_S = 1.0
_REMEMBERED_MS = HOUR_MS
"""Age up to which a starting trainer answers earlier requests to retrain, in ms."""
_LOG = logging.getLogger(__name__)


class Trainer:
    """Follows the topics, learns, and publishes the results."""

    def __init__(self, role: Role, status_store: ModelStatusStore) -> None:
        """Start from nothing.

        Args:
            role: The running role.
            status_store: Takes the status of the model.
        """
        self._role, self._settings, self._publisher = role, role.settings, role.publisher
        self._status_store = status_store
        artifacts = ArtifactStore(role.settings.model_folder, artifacts_kept=role.settings.model_artifacts_kept)
        self.scheduler = RetrainScheduler(role, artifacts)
        self._group_id = consumer_group(role.name)
        self._erasures = TrainerErasures(role, self.scheduler, group_id=self._group_id)
        self._start_figures: dict[str, Any] = {}
        self._offsets: dict[TopicPartition, int] = {}
        """The next offset of each partition."""
        self._decoders: dict[str, Decoder] = {
            topic.name: role.decoder(topic, tombstones=True) for topic in _FOLLOWED
        } | {
            topic.name: Decoder(topic, role.registry, role.dead_letters, stage=role.name, erasures=role.erasures)
            for topic in _LEARNED
        }
        self._user_weights_s = self._weights_s = self._counted_s = 0.0

    @property
    def live(self) -> OnlineLearner:
        """Return the learner between fits."""
        return self.scheduler.live

    async def run(self) -> None:
        """Continue from what is published, then learn new records, until cancelled."""
        started_s = time.monotonic()
        offsets = await self._start()
        self._start_figures["seconds"] = round(time.monotonic() - started_s, 2)
        await self._follow(offsets)

    async def _start(self) -> dict[TopicPartition, int]:
        """Continue from the version in service; return the offsets to follow the topics from."""
        async with self._role.history(MODEL_VERSIONS) as history:
            newest = (await history.newest()).get(MODEL)
            offsets = dict(history.ends)
        serving = None if newest is None else newest[1]
        async with self._role.history(USER_WEIGHTS) as history:
            weights = sorted((await history.newest()).values(), key=lambda pair: pair[0].append_ms)
        for _, own in weights[-self._settings.trainer_users :]:
            self.live.weights.put(own.user_id, weights_in_order(own.weights))
        await self._restore_serving(serving)
        stored_offsets = {} if serving is None else serving.offsets
        self.scheduler.fitted_offsets = stored_offsets.get(INTERACTIONS.name, [])
        offsets |= await self._erasures.start()
        return offsets | await self._learning_offsets(stored_offsets, is_new=serving is None)

    async def _learning_offsets(self, stored_offsets: Offsets, *, is_new: bool) -> dict[TopicPartition, int]:
        """Return the offsets from which learning continues.

        Choices before a version without offsets, such as a restored one, are in its weights, as far as it goes back. A
        topic that was created anew is read from its beginning.

        Args:
            stored_offsets: The offsets of the version in service.
            is_new: Whether there is no version.
        """
        partitions = partitions_of(*_LEARNED)
        async with started(kafka_consumer(self._settings.kafka_bootstrap_servers)) as consumer:
            starts = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
        offsets = {}
        for tp in partitions:
            topic_offsets = stored_offsets.get(tp.topic, [])
            if tp.partition < len(topic_offsets):
                offset = topic_offsets[tp.partition]
                offsets[tp] = offset if starts[tp] <= offset <= ends[tp] else starts[tp]
            else:
                offsets[tp] = starts[tp] if is_new or tp.topic == VISITS.name else ends[tp]
        self._start_figures["records"] = sum(ends[tp] - offset for tp, offset in offsets.items())
        return offsets

    async def _follow(self, offsets: dict[TopicPartition, int]) -> None:
        """Learn new records from these offsets on, until cancelled."""
        consumer = kafka_consumer(
            self._settings.kafka_bootstrap_servers,
            group_id=self._group_id,
            auto_offset_reset="earliest",
            fetch_min_bytes=_MIN_BYTES,
            fetch_max_wait_ms=_WAIT_MS,
        )
        partitions, inputs = partitions_of(*_FOLLOWED), partitions_of(INTERACTIONS)
        async with started(consumer):
            consumer.assign(partitions)
            trigger_offsets = await offsets_since(consumer, partitions_of(TRIGGERS), clock.now_ms() - _REMEMBERED_MS)
            for tp, offset in (offsets | trigger_offsets).items():
                consumer.seek(tp, offset)
            try:
                while True:
                    batches = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
                    await self._apply_fetched(batches)
                    self._offsets = {tp: await consumer.position(tp) for tp in partitions}
                    if time.monotonic() - self._counted_s >= _COUNT_EVERY_S:
                        self._counted_s = time.monotonic()
                        self.scheduler.interactions = sum((await consumer.end_offsets(inputs)).values())
                    await self._publish(idle=not batches)
                    await self._erasures.commit(consumer, self._offsets)
                    self.scheduler.begin_if_due(clock.now_ms(), self._learned_offsets())
            finally:
                await self.scheduler.cancel()

    async def write_status(self) -> None:
        """Write the status of the model every second, until cancelled."""
        while True:
            try:
                await self._status_store.write(self.scheduler.status(clock.now_ms()))
            except StoreError as error:
                _LOG.warning("%s", error)
            await asyncio.sleep(_BOARD_EVERY_S)

    async def _apply_fetched(self, batches: dict[TopicPartition, list[Any]]) -> None:
        """Apply fetched records, in mini-batches."""
        for tp, records in batches.items():
            for number, (record, value) in enumerate(await self._decoders[tp.topic].decode(records), 1):
                if value is None:
                    continue
                if tp.topic == TRIGGERS.name:
                    if value.kind == "retrain":
                        self.scheduler.request_fit(RetrainRequest(value.event_id, value.reason))
                elif tp.topic == ERASURE_REQUESTS.name:
                    await self._erasures.erase(value)
                elif tp.topic == MODEL_VERSIONS.name:
                    if value.model == MODEL and not self.scheduler.is_own(value):
                        _LOG.info("version %s is in service: %s", value.version, value.reason)
                        await self._restore_serving(value)
                else:
                    self._apply(record, value)
                if number % self._settings.trainer_batch_events == 0:
                    await asyncio.sleep(0)

    def _apply(self, record: Any, value: Any) -> None:
        """Learn a record; one that cannot be learned becomes a dead letter, or else no restart would get past it."""
        try:
            self.live.apply(value)
        except Exception as error:
            self._role.dead_letters.put(record, error, stage="trainer.learn")
        else:
            self.scheduler.buffer(value)

    async def _restore_serving(self, model_version: ModelVersion | None) -> None:
        """Continue from the version in service."""
        await self.scheduler.cancel()
        if model_version is not None:
            self.live.warm_start(model_version)
        async with self._role.history(ITEM_WEIGHTS) as history:
            self.scheduler.published_items = set(await history.newest())

    async def _publish(self, *, idle: bool) -> None:
        """Publish weights that are due; the shared ones are due sooner when the trainer is idle."""
        now_s, every_s = time.monotonic(), self._settings.model_publish_interval_s
        if every_s:
            since_s = now_s - self._weights_s
            is_due = self.live.has_unpublished and (since_s >= every_s or (idle and since_s >= _PUBLISH_EVERY_S))
            if is_due or now_s - self._user_weights_s >= _PUBLISH_EVERY_S:
                self._user_weights_s = now_s
                # A version states offsets, before which all choices must be in published weights.
                for own in self.live.user_weights(self.live.weights.changed_count if is_due else _USERS):
                    self._publisher.produce(USER_WEIGHTS, own)
            if is_due:
                await self._publisher.flush()
                self._weights_s = now_s
                version = self.live.model_version(
                    clock.now_ms(), events=self.scheduler.interactions, offsets=self._learned_offsets()
                )
                self._publisher.produce(MODEL_VERSIONS, self.scheduler.mark_own(version))
        await self._publisher.flush()

    def _learned_offsets(self) -> Offsets:
        """Return the next offsets of the topics learned from; those of interactions are of the last fit."""
        offsets = {INTERACTIONS.name: [*self.scheduler.fitted_offsets]}
        for tp, offset in sorted(self._offsets.items()):
            if tp.topic in _LEARNED_NAMES:
                offsets.setdefault(tp.topic, []).append(offset)
        return offsets

    def describe(self) -> dict[str, Any]:
        """Return the figures for the heartbeat."""
        waiting = 0
        if self._settings.model_publish_interval_s > 0:
            waiting += self.live.has_unpublished + self.live.weights.changed_count
        return {
            "positions": {f"{tp.topic}-{tp.partition}": offset for tp, offset in self._offsets.items()},
            "start": self._start_figures,
            "waiting": waiting,
            "trimmed": dict(self.live.omissions),
        }


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("trainer", settings) as role:
        trainer = Trainer(role, RedisModelStatusStore(role.redis))
        work = [trainer.run(), trainer.write_status()]
        private_stats = private_stats_params(settings)
        if private_stats is not None:
            work.append(StatisticsReleaser(role, private_stats).run())
        await role.run(stop, *work, describe=trainer.describe)
