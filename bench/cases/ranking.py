"""Ranking of 10,000 candidates on one core: a micro-batch of the most recently active users, as in the ranker.

The case needs no servers: features are precomputed, feeds are discarded. The figure is the processor time of the
fastest of several rounds, since other work on the machine can only add to it.
"""

from __future__ import annotations

import statistics
import time

from threadpoolctl import threadpool_limits

from bench.folded import folded
from bench.load import EventLoad
from bench.rig import OnBenchProgress
from infra.settings import Settings
from streams.core.ranking.pipeline import rank
from streams.core.user import user_state
from streams.runtime.core_params import rank_params, user_params

MICRO_BATCH = 256
_ROUNDS = 7


def measure(load: EventLoad, settings: Settings, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return the milliseconds per user, and the mean number of events per user."""
    folded_state = folded(load, settings, on_progress=on_progress)
    states = list(folded_state.users.values())[-MICRO_BATCH:]
    of_user = user_params(settings)
    batch = [user_state.snapshot(state, of_user) for state in states]
    params, spent_ms = rank_params(settings), []
    with threadpool_limits(1, user_api="blas"):
        for number in range(_ROUNDS):
            on_progress("rank a micro-batch", number, _ROUNDS)
            began = time.process_time()
            for features in batch:
                rank(
                    features,
                    folded_state.snapshot,
                    folded_state.blender,
                    params,
                    now_ms=folded_state.snapshot.watermark,
                )
            spent_ms.append(1e3 * (time.process_time() - began) / len(batch))
    return {
        "ms_per_user": round(min(spent_ms), 3),
        "candidates": load.size.items,
        "events_per_user": round(statistics.mean(features.event_count for features in batch)),
    }
