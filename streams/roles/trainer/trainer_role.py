"""Trainer role: interactions, choices, items, profiles → item weights, model versions.

It learns what all users share. It is a batch consumer without a table. Its memory is a function of the topics alone: it
commits nothing, loses nothing and counts nothing twice. It is saved in snapshots, each with the offsets that it
includes; a start reads the records since the newest usable one, or else all of them.

    since a snapshot     as if it had never stopped
    from the beginning   interactions: users, repeats; feature and item weights are those of the version in service
    live                 choices: feature weights; what changed is published periodically
    full fits            between the mini-batches: streams.roles.trainer.retraining
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition

from domain.state import State
from domain.timestamp import HOUR_MS
from infra import clock
from infra.kafka.admin.cluster import cluster_id, topic_ids
from infra.kafka.admin.provision import consumer_group
from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.readers.record_window import offsets_since
from infra.redis.connection import StoreError
from infra.redis.stores.model_status import ModelStatusStore, RedisModelStatusStore
from infra.settings import Settings
from schemas.types import ErasureRequest, ModelVersion, Trigger
from streams.core.position import Position
from streams.core.ranking.pipeline import MODEL
from streams.core.ranking.stages.features import weights_in_order
from streams.core.user.stated_profile import forgotten_at
from streams.roles.trainer.artifact_store import ArtifactStore
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.online_learner import ItemDeleted, OnlineLearner, ProfileForgotten, new_learner
from streams.roles.trainer.retraining import RetrainRequest, RetrainScheduler
from streams.roles.trainer.snapshot_store import Offsets, SnapshotStore
from streams.roles.trainer.snapshot_writer import SnapshotWriter
from streams.roles.trainer.trainer_erasures import TrainerErasures
from streams.runtime.dead_letter_queue import Message, Record
from streams.runtime.role import Role, open_role
from streams.runtime.topic_history import TopicHistory, merged
from topics.topic import (
    CHOICES,
    ERASURE_REQUESTS,
    INTERACTIONS,
    ITEM_WEIGHTS,
    ITEMS,
    MODEL_VERSIONS,
    PROFILES,
    TRIGGERS,
    USER_WEIGHTS,
)

_FOLLOWED = (INTERACTIONS, CHOICES, ITEMS, PROFILES, TRIGGERS, MODEL_VERSIONS, ERASURE_REQUESTS)
_TOPICS = {topic.record: topic for topic in (INTERACTIONS, CHOICES, ITEMS, PROFILES)}
"""Topics by record type, for dead letters."""
_PUBLISH_EVERY_S = 1.0
_USERS = 2_000
"""Users whose personal weights are published per second."""
_MAX_RECORDS = 1_000
_MIN_BYTES, _WAIT_MS = 64 << 10, 100
_BOARD_EVERY_S = 1.0
_REMEMBERED_MS = HOUR_MS
"""Age up to which a starting trainer answers earlier requests to retrain, in ms."""
_TOMBSTONES_KEPT_MS = 12 * HOUR_MS
"""Age of a snapshot up to which the topic of items still has all deletions since; brokers keep them for a day."""
_LOG = logging.getLogger(__name__)


class Trainer:
    """Follows the topics, learns, and publishes the results."""

    def __init__(self, role: Role, status_store: ModelStatusStore, *, source: str) -> None:
        """Start from nothing.

        Args:
            role: The running role.
            status_store: Takes the status of the model.
            source: Identity of the topics: offsets of others mean nothing here.
        """
        self._role, self._settings, self._publisher = role, role.settings, role.publisher
        self._status_store = status_store
        self.live = OnlineLearner(new_learner(learner_params(role.settings)))
        artifacts = ArtifactStore(role.settings.millrace_home, artifacts_kept=role.settings.model_artifacts_kept)
        self.scheduler = RetrainScheduler(role, artifacts, self.live)
        self._store = SnapshotStore(role.settings.millrace_home, params=self.live.learner.params, source=source)
        self.snapshots = SnapshotWriter(self._store, role.settings)
        self._start_figures: dict[str, Any] = {}
        self.positions: dict[str, int] = {}
        self._decoders = {topic.name: role.decoder(topic, tombstones=True) for topic in _FOLLOWED}
        self._user_weights_s = self._weights_s = 0.0
        self._erasures = TrainerErasures(role, self.snapshots)

    async def run(self) -> None:
        """Learn the history of the topics, or what came since a snapshot, then new records, until cancelled."""
        try:
            await self._follow(await self._start())
        finally:
            await self.snapshots.close()

    async def _start(self) -> Offsets:
        """Learn the records since the newest usable snapshot, and return the offsets to continue from.

        Choices before the start are in the weights in service. Those since a snapshot are left to be followed.
        """
        started_s, (starts, taken_ms) = time.monotonic(), await self._restore_snapshot()
        erasure_offsets = await self._erasures.start(starts)
        is_resumed = any(tp.topic == MODEL_VERSIONS.name for tp in starts)
        """Whether the snapshot is one of a trainer that had learned its whole history."""
        async with self._role.history(CHOICES) as history:
            offsets: Offsets = {tp: starts.get(tp, end) if is_resumed else end for tp, end in history.ends.items()}
        offsets |= erasure_offsets
        for topic in (ITEMS, PROFILES):
            async with self._role.history(topic, starts=starts) as history:
                await self._learn_table(history, is_new=not starts)
                offsets |= history.ends
        if taken_ms is not None and taken_ms < clock.now_ms() - _TOMBSTONES_KEPT_MS:
            async with self._role.history(ITEMS) as history:
                for item_id in self.live.learner.catalog.listed_ids() - (await history.newest()).keys():
                    self.live.learner.catalog.remove_item(item_id)
        async with self._role.history(INTERACTIONS, starts=starts) as history:
            self._start_figures["interactions"] = history.total
            await self._learn_history(history, starts | offsets if is_resumed else offsets)
            offsets |= history.ends
        async with self._role.history(MODEL_VERSIONS, starts=starts) as history:
            serving = (await history.newest()).get(MODEL)
            offsets |= history.ends
        await self._continue_serving(None if serving is None else serving[1], is_resumed=is_resumed)
        self._start_figures["seconds"] = round(time.monotonic() - started_s, 2)
        return offsets

    async def _restore_snapshot(self) -> tuple[Offsets, int | None]:
        """Continue from the newest usable snapshot; return its offsets and its time in ms since the epoch, if any."""
        if not self._settings.trainer_snapshot_interval_s:
            return {}, None
        async with started(kafka_consumer(self._settings.kafka_bootstrap_servers)) as consumer:
            ends = await consumer.end_offsets(partitions_of(*_FOLLOWED))
        snapshots = self._store.newest()
        while (snapshot := await asyncio.to_thread(next, snapshots, None)) is not None:
            if any(offset > ends.get(tp, 0) for tp, offset in snapshot.offsets.items()):
                _LOG.warning("a snapshot is not used: its topics have lost their newest records")
                continue
            try:
                await asyncio.to_thread(self._restore, snapshot.state)
            except Exception:
                _LOG.exception("a snapshot is not used: its state does not fit")
                continue
            self.snapshots.start_from(snapshot.offsets)
            self._start_figures["snapshot_at"] = snapshot.created_at_ms
            return snapshot.offsets, snapshot.created_at_ms
        return {}, None

    def _state(self) -> Callable[[], State]:
        """Return a function that returns the state as of now, which takes long."""
        live, published_items = self.live.deferred_state(), [*self.scheduler.published_items]
        return lambda: live() | {"published_items": published_items}

    def _restore(self, state: State) -> None:
        published_items = set(state["published_items"])
        self.live.restore(state)
        self.scheduler.published_items = published_items

    async def _learn_table(self, history: TopicHistory, *, is_new: bool) -> None:
        """Learn a compacted topic: the newest record of each key, or the records since a snapshot."""
        if is_new:
            for position, value in (await history.newest()).values():
                self._learn(value, position)
            return
        async for record, value in history.records():
            change = _deleted(record) if value is None else value
            if change is not None:
                self._learn(change, Position.of(record))

    async def _learn_history(self, history: TopicHistory, offsets: Offsets) -> None:
        """Learn the interactions of a history in order; a long one is worth snapshots on the way.

        Args:
            history: The history.
            offsets: The next offsets of the other topics that the state includes.
        """
        next_offsets, number = offsets | history.starts, 0
        async for position, event in history.merged():
            self._learn(event, position)
            next_offsets[TopicPartition(INTERACTIONS.name, position.partition)] = position.offset + 1
            number += 1
            if number % self._settings.trainer_batch_events == 0:
                await self.snapshots.take_if_due(self._state, next_offsets)
                await asyncio.sleep(0)

    async def _continue_serving(self, serving: ModelVersion | None, *, is_resumed: bool) -> None:
        """Continue from the version in service; a resumed trainer has its weights already, unless others serve now.

        Args:
            serving: The newest version since the snapshot, or since the beginning.
            is_resumed: Whether the state is that of a trainer that was following its topics.
        """
        if not is_resumed:
            async with self._role.history(USER_WEIGHTS) as history:
                for _, own in (await history.newest()).values():
                    self.live.learner.restore_offset(own.user_id, weights_in_order(own.weights))
            await self._restore_serving(serving)
        elif serving is not None:
            name, _, outcomes = serving.version.partition("+")
            if not outcomes or name != (self.live.base.version if self.live.base else ""):
                await self._restore_serving(serving)

    async def _follow(self, offsets: Offsets) -> None:
        """Learn new records from these offsets on, until cancelled."""
        consumer = kafka_consumer(
            self._settings.kafka_bootstrap_servers,
            group_id=consumer_group(self._role.name),
            auto_offset_reset="earliest",
            fetch_min_bytes=_MIN_BYTES,
            fetch_max_wait_ms=_WAIT_MS,
        )
        partitions = partitions_of(*_FOLLOWED)
        async with started(consumer):
            consumer.assign(partitions)
            trigger_offsets = await offsets_since(consumer, partitions_of(TRIGGERS), clock.now_ms() - _REMEMBERED_MS)
            for tp, offset in (offsets | trigger_offsets).items():
                consumer.seek(tp, offset)
            try:
                while True:
                    batches = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
                    await self._apply_fetched(batches)
                    await self._publish(idle=not batches)
                    next_offsets = {tp: await consumer.position(tp) for tp in partitions}
                    self.positions = {f"{tp.topic}-{tp.partition}": offset for tp, offset in next_offsets.items()}
                    if not self.scheduler.is_promoting:  # its version may be read back before it serves
                        learned_offsets = {tp: at for tp, at in next_offsets.items() if tp.topic != TRIGGERS.name}
                        await self.snapshots.take_if_due(self._state, learned_offsets)
                        await self._erasures.commit(consumer, self._state, learned_offsets)
                    self.scheduler.begin_if_due(clock.now_ms())
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
        """Apply fetched records: other topics first, then interactions, in mini-batches."""
        events: dict[TopicPartition, list[tuple[Position, Any]]] = {}
        for tp, records in batches.items():
            for record, value in await self._decoders[tp.topic].decode(records):
                if value is None:
                    if (deletion := _deleted(record)) is not None:
                        self._apply(deletion, Position.of(record))
                elif tp.topic == INTERACTIONS.name:
                    events.setdefault(tp, []).append((Position.of(record), value))
                elif tp.topic == TRIGGERS.name:
                    self._request_fit(value)
                elif tp.topic == ERASURE_REQUESTS.name:
                    await self._erase(value, Position.of(record))
                elif tp.topic == MODEL_VERSIONS.name:
                    if value.model == MODEL and not self.scheduler.is_own(value):
                        _LOG.info("version %s is in service: %s", value.version, value.reason)
                        await self._restore_serving(value)
                else:
                    self._apply(value, Position.of(record))
        for number, (position, event) in enumerate(merged(events.values()), 1):
            self._apply(event, position)
            if number % self._settings.trainer_batch_events == 0:
                await asyncio.sleep(0)

    def _request_fit(self, trigger: Trigger) -> None:
        if trigger.kind == "retrain":
            self.scheduler.request_fit(RetrainRequest(trigger.event_id, trigger.reason))

    async def _erase(self, request: ErasureRequest, position: Position) -> None:
        if await self._role.erasures.wait_for(request.event_id):
            self._erasures.add(request, is_known=self.live.learner.has_state(request.user_id))
            self._apply(request, position)

    def _apply(self, value: Any, position: Position) -> None:
        self._learn(value, position)
        self.scheduler.buffer(value, position)

    def _learn(self, value: Any, position: Position) -> None:
        """Learn a record; a failing record becomes a dead letter, or else no restart would get past it."""
        try:
            self.live.apply(value, position)
        except Exception as error:
            topic = _TOPICS.get(type(value))
            if topic is None:
                _LOG.exception("the %s at %s cannot be learned", type(value).__name__, position)
                return
            message = Message(
                topic=topic.name,
                partition=position.partition,
                offset=position.offset,
                timestamp=position.append_ms,
                key=topic.key_of(value),
                value=self._role.registry.codec(topic.record).encode(value),
            )
            self._role.dead_letters.put(message, error, stage="trainer.learn")

    async def _restore_serving(self, model_version: ModelVersion | None) -> None:
        """Continue from the version in service, and load the published item weights."""
        await self.scheduler.cancel()
        if model_version is not None:
            self.live.warm_start(model_version)
        async with self._role.history(ITEM_WEIGHTS) as history:
            weights = await history.newest()
        catalog = self.live.learner.catalog
        catalog.item_weights.clear()
        for position, row in weights.values():
            try:
                catalog.apply_weights(row)
            except Exception:
                _LOG.exception("the weights at %s cannot be used", position)
        self.scheduler.published_items = set(weights)

    async def _publish(self, *, idle: bool) -> None:
        """Publish weights that are due; the shared ones are due sooner when the trainer is idle."""
        now_s = time.monotonic()
        if now_s - self._user_weights_s >= _PUBLISH_EVERY_S:
            self._user_weights_s = now_s
            for own in self.live.user_weights(_USERS) if self._settings.model_publish_interval_s else ():
                self._publisher.produce(USER_WEIGHTS, own)
        every_s = self._settings.model_publish_interval_s
        since_s = now_s - self._weights_s
        if every_s and self.live.has_unpublished and (since_s >= every_s or (idle and since_s >= _PUBLISH_EVERY_S)):
            self._weights_s = now_s
            self._publisher.produce(MODEL_VERSIONS, self.scheduler.mark_own(self.live.weights(clock.now_ms())))
        await self._publisher.flush()

    def describe(self) -> dict[str, Any]:
        """Return the figures for the heartbeat."""
        waiting = 0
        if self._settings.model_publish_interval_s > 0:
            waiting += self.live.has_unpublished + self.live.learner.weights.changed_count
        return {
            "positions": self.positions,
            "start": self._start_figures,
            "snapshot": self.snapshots.describe(),
            "waiting": waiting,
            "trimmed": dict(self.live.omissions),
        }


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("trainer", settings) as role:
        source = await asyncio.to_thread(_source, settings.kafka_bootstrap_servers)
        trainer = Trainer(role, RedisModelStatusStore(role.redis), source=source)
        await role.run(stop, trainer.run(), trainer.write_status(), describe=trainer.describe)


def _source(bootstrap_servers: str) -> str:
    """Return the identity of the topics that the state is made from: those of the cluster, as created last."""
    ids = topic_ids(bootstrap_servers, [topic.name for topic in _FOLLOWED if topic not in (TRIGGERS, ERASURE_REQUESTS)])
    return " ".join([cluster_id(bootstrap_servers), *(f"{name}={topic_id}" for name, topic_id in sorted(ids.items()))])


def _deleted(record: Record) -> ItemDeleted | ProfileForgotten | None:
    """Return the deletion that a null value stands for, or None."""
    key = (record.key or b"").decode()
    if record.topic == ITEMS.name:
        return ItemDeleted(key)
    return ProfileForgotten(key, forgotten_at(record)) if record.topic == PROFILES.name else None
