"""Signal agent: item signals → item stats. Owns the table `items`.

It publishes nothing where statistics are private: the trainer releases them once a day.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from schemas.types import ItemSignals
from streams.agents.agent_context import AgentContext
from streams.core.heavy_hitters import HeavyHitters
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemState
from streams.core.params import SignalParams
from streams.runtime.state.record_cache import RecordCache
from streams.transport import Batch
from topics.topic import ITEM_SIGNALS, ITEM_STATS

INPUT_TOPICS = (ITEM_SIGNALS,)


class SignalAgent:
    """Folds item signals into item statistics, and publishes them once per checkpoint."""

    def __init__(self, context: AgentContext, table: Any, params: SignalParams) -> None:
        self._context, self._params = context, params
        self._decoder = context.decoder(ITEM_SIGNALS, "signal")
        self._states = RecordCache(table, ItemState, context.publisher, new=ItemState)
        self._publishes = not context.settings.private_statistics_epsilon
        self._pending_items: dict[tuple[int, str], None] = {}
        self.evictions: Counter[str] = Counter()
        """Entries evicted from full states, by collection."""
        self.rates = HeavyHitters(context.now_ms)
        """Rates of interactions by item, by append time."""
        self.checkpoint = context.checkpoint(emit=self._emit, states=self._states)

    async def process(self, event: Any) -> None:
        """Fold one batch."""
        batch: Batch = event.value
        usable = await self._decoder.decode(batch)
        if not self._context.app.is_live(event):
            return
        for record, value in usable:
            try:
                self._fold(batch.partition, value)
            except Exception as error:
                self._context.dead_letters.put(record, error, stage="signal.fold")
        self.checkpoint.add([event])
        self.checkpoint.behind = batch.remaining >= self._context.settings.batch_records

    def drop(self) -> None:
        """Discard all state that is not durable: its events are read again after a rebalance."""
        self.checkpoint.drop()
        self._states.drop()
        self._pending_items.clear()
        self.rates.clear()

    def _fold(self, partition: int, value: ItemSignals) -> None:
        state = self._states.get(partition, value.item_id)
        if item_stats.fold(state, value, params=self._params, evictions=self.evictions):
            self._states.touch(partition, value.item_id)
            if self._publishes:
                self._pending_items[partition, value.item_id] = None
            for append_ms in value.source_timestamps:
                self.rates.add(value.item_id, append_ms)

    def _emit(self) -> None:
        for partition, item_id in self._pending_items:
            self._context.publisher.produce(ITEM_STATS, item_stats.stats(self._states.get(partition, item_id)))
        self._pending_items.clear()
