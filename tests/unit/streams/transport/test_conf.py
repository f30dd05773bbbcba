"""The share of processed records: what hurries checkpoints and rankings, and what does not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from infra.settings import Settings
from streams.runtime.faust_role import batch_limits
from streams.transport import App
from streams.transport.ledger import OffsetTracker

LIMITS = replace(batch_limits(Settings()), max_in_flight_records=100, max_processed_records=200)
PARTITION = TP("interactions", 0)


def test_folded_records_count_until_they_are_acknowledged_and_records_read_ahead_never_do() -> None:
    tracker: OffsetTracker[TP] = OffsetTracker()
    app: Any = SimpleNamespace(limits=LIMITS, consumer=tracker)
    folded_batch, batch_ahead = (tracker.deliver(PARTITION, end, records=50, size_bytes=1) for end in (50, 100))
    assert (App.is_full(app, PARTITION), App.processed_share(app, PARTITION)) == (True, 0.0)
    tracker.process(folded_batch)
    assert (App.is_full(app, PARTITION), App.processed_share(app, PARTITION)) == (False, 0.25)
    tracker.process(batch_ahead)
    tracker.acknowledge(folded_batch)
    assert App.processed_share(app, PARTITION) == 0.25
