"""The recommended lists, one JSON line per test event, for independent computation of metrics.

    {"index": 80001, "user": "7", "item": "50", "top": ["181", …], "model": "blend"}

`index` is the event's index in the stream sorted by (time, order in the source), from 0; `top` has the best item first.
Ids are those of the data. With several seeds the lists are those of the first. For held-out users, `known` is the
number of the user's events in the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from evaluation.protocols.replay import EVERYTHING, ReplayOutcome
from evaluation.protocols.stream import Stream


def write(path: Path, stream: Stream, runs: Mapping[str, ReplayOutcome]) -> None:
    """Write the lists of each model, one model after the other."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for model, outcome in runs.items():
            columns = (
                outcome.event_index.tolist(),
                outcome.list_index.tolist(),
                outcome.known_count.tolist(),
                outcome.earlier.tolist(),
            )
            cold = (outcome.known_count < EVERYTHING).any()
            for index, list_index, known_count, earlier in zip(*columns, strict=True):
                event = stream.events[index]
                top = [stream.items[item] for item in outcome.top[list_index].tolist() if item >= 0]
                line = {"index": index, "user": event.user_id, "item": event.item_id, "top": top, "model": model}
                file.write(encoder.encode(line | ({"known": min(known_count, earlier)} if cold else {})) + b"\n")
