"""Encoder role: interactions → encoder vectors, encoder versions. One process learns the network of ENCODER.

    start      the network of the newest version is loaded, and the newest interactions are read: those before the
               version only fill the buffer that the network samples from, those after it are learned
    live       each fetch of interactions is a mini-batch: some of its outcomes are ranked, then the network learns
    decision   at intervals the network is held against the version in service, on the outcomes since the last decision
    promotion  the network is saved, the vectors of its items are published, and then the version, which workers serve
               once they have all vectors

A refused version is published under a key of its own and changes nothing. The network goes on learning in memory; after
a restart it goes on from the last version that was promoted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from numpy.typing import NDArray

from domain.timestamp import version_name
from infra import clock
from infra.error import OperatorError
from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.redis.stores.model_status import REFUSED, SERVING
from infra.settings import Settings
from models.base import ModelEvent
from models.encoders.encoded_items import EncodedItems
from models.encoders.user_encoder import EncoderExport, EncoderModel
from models.vocabulary import Vocabulary
from models.weight import is_on_scale
from schemas.learned_limit import PARAMETER_BYTES
from schemas.types import EncoderVersion, Interaction
from streams.core.item.embedding_record import STORED
from streams.core.item.encoder_record import encoder_vectors, packed_parameters
from streams.core.learning.encoder_learner import EncoderDecision, EncoderLearner
from streams.core.learning.item_weights import model_event
from streams.core.position import Position
from streams.core.ranking.catalog.encoder_spaces import EncoderSpaces
from streams.roles.encoder.encoder_store import EncoderStore, StoredEncoder
from streams.runtime.encoder_models import ENCODER_MODELS, encoder_builder
from streams.runtime.role import Role, open_role
from streams.runtime.topic_history import merged
from topics.topic import ENCODER_VECTORS, ENCODER_VERSIONS, INTERACTIONS

_WAIT_MS = 200
_MIN_BYTES = 64 << 10
_MAX_RECORDS = 2_000
_HISTORY_BATCH = 200
"""Events of the history that are learned at a time."""
_VECTORS_AT_A_TIME = 200
_LOG = logging.getLogger(__name__)


class EncoderConsumer:
    """Learns a network, and publishes the versions that rank better."""

    def __init__(self, role: Role, build: Callable[[], EncoderModel]) -> None:
        """Start with an untrained network.

        Args:
            role: The running role.
            build: Creates the network.

        Raises:
            OperatorError: the network is too large to be served.
        """
        self._role, self._settings, self._publisher = role, role.settings, role.publisher
        self._model = role.settings.encoder
        self._decoder = role.decoder(INTERACTIONS)
        self._learner = EncoderLearner(build, events=role.settings.encoder_events)
        self._store = EncoderStore(role.settings.model_folder, self._model)
        self._offsets: dict[int, int] = {}
        """The next offset of each partition of interactions."""
        self._published_items: set[str] = set()
        """Items with a vector on the topic encoder-vectors."""
        self._version = self._refused_version = ""
        """The version in service, and the one refused last."""
        self._decided_s = time.monotonic()
        if len(packed_parameters(self._learner.export()[0].parameters)) > PARAMETER_BYTES:
            raise OperatorError(
                f"The parameters of {self._model} are too large for a record of {PARAMETER_BYTES:,} bytes.",
                "Lower EMBEDDING_DIM.",
            )

    async def run(self) -> None:
        """Learn until cancelled."""
        await self._load_serving()
        await self._learn_history()
        await self._follow()

    def describe(self) -> dict[str, Any]:
        """Return the figures for the heartbeat."""
        return {
            "positions": {f"{INTERACTIONS.name}-{partition}": offset for partition, offset in self._offsets.items()},
            "version": self._version,
            "refused_version": self._refused_version,
            "learned": self._learner.learned_count,
            "items": len(self._learner.model.items),
            "outcomes": self._learner.ranks.outcomes,
        }

    async def _load_serving(self) -> None:
        """Load the version in service from its topics: the incumbent of the next decision."""
        names, spaces = Vocabulary(), EncoderSpaces(self._model)
        async with self._role.history(ENCODER_VERSIONS) as history:
            versions = await history.newest()
        if self._model in versions:
            spaces.take_version(versions[self._model][1])
        async with self._role.history(ENCODER_VECTORS) as history:
            vectors = await history.newest()
        self._published_items = set(vectors)
        for _, record in vectors.values():
            spaces.put(names.add(record.item_id), record)
        if spaces.items is not None:
            self._version = spaces.version
            self._learner.serve(spaces.items, names)

    async def _learn_history(self) -> None:
        """Load the newest version, and learn the newest events: of those before it the network has learned already."""
        offsets = await asyncio.to_thread(self._restore)
        async with started(kafka_consumer(self._settings.kafka_bootstrap_servers)) as consumer:
            tps = partitions_of(INTERACTIONS)
            begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        starts = newest_offsets(begins, ends, self._settings.encoder_events)
        offsets = {
            number: at for number, at in offsets.items() if at <= ends[TopicPartition(INTERACTIONS.name, number)]
        }
        batch: list[tuple[Position, Interaction]] = []
        async with self._role.history(INTERACTIONS, starts=starts) as history:
            async for pair in history.merged():
                batch.append(pair)
                if len(batch) == _HISTORY_BATCH:
                    await self._learn_since(offsets, batch)
                    batch = []
            await self._learn_since(offsets, batch)
            self._offsets = {tp.partition: end for tp, end in history.ends.items()}

    def _restore(self) -> Mapping[int, int]:
        """Continue with the network of the newest usable version, or a new one, and return its offsets."""
        for stored_encoder in self._store.newest():
            try:
                self._learner.start_from(stored_encoder.items, stored_encoder.state)
            except (KeyError, RuntimeError) as error:
                _LOG.warning("version %s is not continued: %s", stored_encoder.version, error)
                continue
            return stored_encoder.offsets
        self._learner.start_from([], {})
        return {}

    async def _learn_since(self, offsets: Mapping[int, int], batch: Sequence[tuple[Position, Interaction]]) -> None:
        """Learn the events from some offsets on; of a batch of the history, the others only fill the buffer."""
        for is_new, pairs in groupby(batch, lambda pair: pair[0].offset >= offsets.get(pair[0].partition, 0)):
            events = self._events((position, event) for position, event in pairs)
            await asyncio.to_thread(self._learner.learn if is_new else self._learner.add, events)

    async def _follow(self) -> None:
        """Learn new interactions, and decide at intervals, until cancelled."""
        consumer: AIOKafkaConsumer = kafka_consumer(
            self._settings.kafka_bootstrap_servers,
            auto_offset_reset="earliest",
            fetch_min_bytes=_MIN_BYTES,
            fetch_max_wait_ms=_WAIT_MS,
        )
        async with started(consumer):
            consumer.assign(partitions_of(INTERACTIONS))
            for partition, offset in self._offsets.items():
                consumer.seek(TopicPartition(INTERACTIONS.name, partition), offset)
            while True:
                batches = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
                partitions = [
                    [(Position.of(record), event) for record, event in await self._decoder.decode(records)]
                    for records in batches.values()
                ]
                if events := self._events(merged(partitions)):
                    await asyncio.to_thread(self._learner.learn, events)
                for tp, records in batches.items():
                    self._offsets[tp.partition] = records[-1].offset + 1
                if time.monotonic() - self._decided_s >= self._settings.encoder_publish_interval_s:
                    await self._decide()

    def _events(self, pairs: Iterable[tuple[Position, Interaction]]) -> list[ModelEvent]:
        """Return the interactions with items as events of models; those with ratings above the scale are ignored."""
        scale = self._settings.rating_scale
        return [
            model_event(event, rating_scale=scale)
            for _, event in pairs
            if event.item_id is not None and is_on_scale(event, scale)
        ]

    async def _decide(self) -> None:
        """Promote or refuse the network, if there are enough outcomes to judge it by."""
        decision = self._learner.decision()
        if decision is None:
            return
        self._decided_s = time.monotonic()
        export, state = await asyncio.to_thread(self._learner.export)
        if not _is_finite(export):
            await self._refuse("it has diverged: some of its numbers are not finite", decision)
            await asyncio.to_thread(self._restore)
        elif decision.is_better:
            await self._promote(export, state, decision)
        else:
            await self._refuse(decision.reason, decision)

    async def _promote(
        self, export: EncoderExport, state: Mapping[str, NDArray[Any]], decision: EncoderDecision
    ) -> None:
        """Save and publish a version."""
        now_ms = clock.now_ms()
        version = version_name(now_ms)
        stored_encoder = StoredEncoder(version, now_ms, list(export.items), state, dict(self._offsets))
        await asyncio.to_thread(self._store.put, stored_encoder)
        await self._publish_vectors(export, version)
        self._publisher.produce(
            ENCODER_VERSIONS,
            EncoderVersion(
                model=self._model,
                version=version,
                created_at=now_ms,
                watermark=self._learner.watermark,
                status=SERVING,
                reason=decision.reason,
                metrics=decision.metrics,
                items=len(export.items),
                parameters=packed_parameters(export.parameters),
            ),
        )
        await self._publisher.flush()
        self._version = version
        await asyncio.to_thread(self._serve, export)
        _LOG.info("version %s of %s is serving: %s", version, self._model, decision.reason)

    def _serve(self, export: EncoderExport) -> None:
        """Judge against a version from now on."""
        names = Vocabulary()
        for item_id in export.items:
            names.add(item_id)
        self._learner.serve(EncodedItems.of(export, names), names)

    async def _publish_vectors(self, export: EncoderExport, version: str) -> None:
        """Publish the vectors of a version, and delete those of items that it does not have."""
        for number, record in enumerate(encoder_vectors(export, version), 1):
            self._publisher.produce(ENCODER_VECTORS, record)
            if number % _VECTORS_AT_A_TIME == 0:
                await self._publisher.wait_for_capacity()
                await asyncio.sleep(0)
        for item_id in sorted(self._published_items.difference(export.items)):
            self._publisher.produce_bytes(ENCODER_VECTORS, item_id.encode(), None)
        await self._publisher.flush()
        self._published_items = set(export.items)

    async def _refuse(self, reason: str, decision: EncoderDecision) -> None:
        """Publish a refused version, without vectors and parameters."""
        now_ms = clock.now_ms()
        self._refused_version = version_name(now_ms)
        _LOG.warning("version %s of %s is refused: %s", self._refused_version, self._model, reason)
        self._publisher.produce(
            ENCODER_VERSIONS,
            EncoderVersion(
                model=f"{self._model}/{REFUSED}",
                version=self._refused_version,
                created_at=now_ms,
                watermark=self._learner.watermark,
                status=REFUSED,
                reason=reason,
                metrics=decision.metrics,
                items=0,
            ),
        )
        await self._publisher.flush()


def newest_offsets(
    begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], count: int
) -> dict[TopicPartition, int]:
    """Return the offsets from which on partitions have the newest records, the same share of each.

    Args:
        begins: The first offset of each partition.
        ends: The offset past the last record of each partition.
        count: Number of records in all partitions together, at most but for rounding.
    """
    total = sum(end - begins[tp] for tp, end in ends.items())
    share = min(count / max(total, 1), 1.0)
    return {tp: end - round(share * (end - begins[tp])) for tp, end in ends.items()}


def _is_finite(export: EncoderExport) -> bool:
    """Return whether all numbers of a network are finite, as they are published."""
    with np.errstate(over="ignore"):
        vectors = export.vectors.astype(STORED)
    return bool(np.isfinite(vectors).all()) and all(np.isfinite(array).all() for array in export.parameters.values())


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set.

    Raises:
        OperatorError: the settings name no network, or torch is not installed.
    """
    build = encoder_builder(settings)
    if build is None:
        raise OperatorError("ENCODER names no network to learn.", f"Set it to one of {', '.join(ENCODER_MODELS)}.")
    async with open_role("encoder", settings) as role:
        consumer = await asyncio.to_thread(EncoderConsumer, role, build)
        await role.run(stop, consumer.run(), describe=consumer.describe)
