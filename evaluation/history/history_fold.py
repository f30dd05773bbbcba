"""States of users and items, folded from the topics as the user agent and the signal agent fold them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from aiokafka import ConsumerRecord

from evaluation.history.label_history import LabelHistory, read_labels
from infra.kafka.consumer import partitions_of
from infra.kafka.partition import partition_of
from infra.kafka.readers.append_order import in_append_order
from infra.kafka.readers.record_window import WindowReader
from infra.kafka.registry import Registry
from schemas.types import (
    Content,
    Exposure,
    Features,
    Interaction,
    ItemStats,
    Location,
    Profile,
    Trigger,
    UserWeights,
)
from streams.agents.user import INPUT_TOPICS
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemSignal, ItemState
from streams.core.params import SignalParams, UserParams
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.stated_profile import forgotten_at
from streams.core.user.user_state import UserState
from streams.runtime.decode import Decoder
from topics.topic import PARTITIONS, PROFILES

_SIGNALS = 32
"""Most signals of an item from one partition that wait."""
_PARTITIONS = partitions_of(*INPUT_TOPICS)
HistoryEvent = tuple[ConsumerRecord, Any]
"""A record of an input topic with its value; None for a deletion."""


class HistoryFold:
    """Folds events in their order. Personal weights take effect with the next change of features, as they do live."""

    def __init__(self, labels: LabelHistory, user_params: UserParams, signal_params: SignalParams) -> None:
        """Start from nothing.

        Args:
            labels: The labels of items.
            user_params: Parameters of the fold of users.
            signal_params: Parameters of the fold of items.
        """
        self._labels, self._user_params, self._signal_params = labels, user_params, signal_params
        self._users: dict[str, UserState] = {}
        self._items: dict[str, ItemState] = {}
        self._signals: dict[str, dict[int, list[ItemSignal]]] = {}
        """Signals that wait to be folded, by item and partition."""
        self._weights: dict[str, UserWeights] = {}
        """Personal weights that have not taken effect yet, by user."""
        self._folds: dict[type, Callable[[UserState, Any, Position], object]] = {
            Interaction: self._fold_interaction,
            Location: partial(_with_params, user_state.fold_location, user_params),
            Profile: user_state.fold_profile,
            Trigger: partial(_with_params, user_state.fold_trigger, user_params),
            Content: user_state.fold_content,
            Exposure: user_state.fold_exposure,
        }

    @property
    def rating_scale(self) -> float:
        """Return the highest rating."""
        return self._user_params.rating_scale

    def apply(self, record: ConsumerRecord, value: Any) -> bool:
        """Fold one record; return whether the features of its user changed.

        A record that cannot be folded, which became a dead letter, changes nothing.
        """
        try:
            return self._apply(record, value)
        except Exception:
            return False

    def _apply(self, record: ConsumerRecord, value: Any) -> bool:
        user_id = (record.key or b"").decode() if value is None else value.user_id
        if partition_of(record.key or b"", PARTITIONS) != record.partition:
            return False  # the user agent has sent it on to the user's partition, where it comes again
        if isinstance(value, UserWeights):
            self._weights[user_id] = value
            return False
        state, position = self._users.setdefault(user_id, UserState(user_id)), Position.of(record)
        weights = self._weights.pop(user_id, None)
        if weights is not None:
            user_state.fold_weights(state, weights, position)
        version = state.version
        if value is None:
            user_state.forget_profile(state, forgotten_at(record), position)
        else:
            self._folds[type(value)](state, value, position)
        return state.version != version

    def features(self, user_id: str) -> Features:
        """Return the features of a user as they would be published; those of a newcomer for an unknown user."""
        return user_state.snapshot(self._users.get(user_id) or UserState(user_id), self._user_params)

    def stats(self, item_id: str) -> ItemStats:
        """Return the statistics of an item, empty ones for an unknown item. They go on changing with the fold."""
        self._fold_signals(item_id)
        return item_stats.stats(self._items.get(item_id) or ItemState(item_id))

    def all_stats(self) -> Iterator[ItemStats]:
        """Yield the statistics of all items that users acted on."""
        return (self.stats(item_id) for item_id in list(self._items))

    def _fold_interaction(self, state: UserState, event: Interaction, position: Position) -> None:
        subject = self._labels.labels(event.item_id, position.append_ms) or ItemLabels.of_event(event)
        signal = user_state.fold(state, event, position, subject=subject, params=self._user_params)
        if signal is None:
            return
        self._items.setdefault(signal.item_id, ItemState(signal.item_id))
        signals = self._signals.setdefault(signal.item_id, {}).setdefault(position.partition, [])
        signals.append(signal)
        if len(signals) >= _SIGNALS:
            self._fold_signals(signal.item_id)

    def _fold_signals(self, item_id: str) -> None:
        """Fold the waiting signals of an item; together they take a fraction of the time of one by one."""
        for signals in self._signals.pop(item_id, {}).values():
            item_stats.fold(self._items[item_id], item_stats.to_record(signals), params=self._signal_params)


class EventHistory:
    """The events of all users up to a time, from the topics that the user agent reads."""

    def __init__(self, registry: Registry, reader: WindowReader) -> None:
        self._registry, self._reader = registry, reader
        self._decoders = {
            topic.name: Decoder(topic, registry, None, stage="history", tombstones=topic is PROFILES)
            for topic in INPUT_TOPICS
        }

    async def labels(self) -> LabelHistory:
        """Return the labels of items over time."""
        return await read_labels(self._reader, self._registry)

    async def count(self, *, until_ms: int | None = None) -> int:
        """Return the number of records up to an append time in ms since the epoch, by default now."""
        window = await self._reader.window(_PARTITIONS, until_ms=until_ms)
        return sum(map(len, window.values()))

    async def events(self, *, until_ms: int | None = None) -> AsyncIterator[list[HistoryEvent]]:
        """Yield the usable events in steps, in the order of their append times.

        Args:
            until_ms: Append time of the first event after the history, in ms since the epoch; by default now.
        """
        window = await self._reader.window(_PARTITIONS, until_ms=until_ms)
        async for records in in_append_order(self._reader, window):
            batch: list[HistoryEvent] = []
            for run in _runs(records):
                batch += await self._decoders[run[0].topic].decode(run)
            yield batch


def _runs(records: list[ConsumerRecord]) -> Iterator[list[ConsumerRecord]]:
    """Yield the runs of records of one topic."""
    for _, run in groupby(records, key=attrgetter("topic")):
        yield list(run)


def _with_params(fold: Callable[..., object], params: UserParams, state: UserState, event: Any, at: Position) -> None:
    fold(state, event, at, params)
