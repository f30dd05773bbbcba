"""Ranking in catalogues of growing size: the cost of a user, and the candidates' recall against ranking everything.

The case needs no servers. Catalogues are generated (`bench.catalogue`); the weights are learned from the users' next
choices in the smallest one. Each user is ranked several times, and the fastest counts: processor time, to which other
work on the machine can only add.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from bench.catalogue import NOW_MS, Catalogue, generate
from bench.rig import OnBenchProgress
from infra.settings import Settings
from models.blend.blender import Blender
from models.blend.personal import PersonalWeights
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.ranking.pipeline import build_candidates, new_blender, rank, rank_candidates
from streams.runtime.core_params import rank_params

USERS, LISTED = 64, 10
_ROUNDS = 7
_EVERYTHING = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """Sizes of the catalogues."""

    items: Sequence[int]
    recall_items: int
    """The one of them in which everything is ranked for comparison."""
    text_items: int
    """Number of items with their texts in the content index: more would take minutes to add."""


def measure(plan: ScalePlan, settings: Settings, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return the milliseconds per user by number of items, for candidates and feeds, and the recall."""
    params, figures = rank_params(settings), dict[str, float]()
    blender: Blender | None = None
    with threadpool_limits(1, user_api="blas"):
        for number, items in enumerate(plan.items):
            on_progress(f"rank in a catalogue of {items:,} items", number, len(plan.items))
            catalogue = generate(items, users=USERS, text_items=plan.text_items)
            blender = blender or _learned(catalogue, params)
            build_s, rank_s = _seconds(catalogue, blender, params)
            figures |= {
                f"build_ms_{items}": round(1e3 * build_s, 3),
                f"ms_per_user_{items}": round(1e3 * (build_s + rank_s), 3),
            }
            if items == plan.recall_items:
                figures["recall_items"], figures["recall_at_10"] = items, _recall(catalogue, blender, params)
            del catalogue
    return figures


def _learned(catalogue: Catalogue, params: RankParams) -> Blender:
    """Return weights learned from the users' next choices."""
    weights = PersonalWeights(new_blender())
    for features, choice in zip(catalogue.users, catalogue.choices, strict=True):
        candidates = build_candidates(features, catalogue.snapshot, params, at_ms=NOW_MS)
        rows = np.flatnonzero(candidates.items == catalogue.snapshot.items.get(choice))
        if len(rows) and candidates.is_admissible[rows[0]]:
            weights.learn(
                features.user_id,
                candidates.features,
                int(rows[0]),
                candidates.query.context,
                among=candidates.is_admissible,
            )
    return weights.blender


def _seconds(catalogue: Catalogue, blender: Blender, params: RankParams) -> tuple[float, float]:
    """Return the mean processor time of building a user's candidates, and of ranking them."""
    spent_s = np.zeros((_ROUNDS, len(catalogue.users), 2))
    for row in spent_s:
        for own, features in zip(row, catalogue.users, strict=True):
            began_s = time.process_time()
            candidates = build_candidates(features, catalogue.snapshot, params, at_ms=NOW_MS)
            built_s = time.process_time()
            rank_candidates(candidates, catalogue.snapshot, blender, params, now_ms=NOW_MS)
            own[:] = built_s - began_s, time.process_time() - built_s
    build_s, rank_s = spent_s.min(axis=0).mean(axis=0).tolist()
    return build_s, rank_s


def _recall(catalogue: Catalogue, blender: Blender, params: RankParams) -> float:
    """Return the share of the ten best of everything that lead the feeds of the candidates, too."""
    whole, shares = replace(params, exact_items=_EVERYTHING), []

    def best(features: Features, some: RankParams) -> set[str]:
        return set(rank(features, catalogue.snapshot, blender, some, now_ms=NOW_MS).items[:LISTED])

    for features in catalogue.users:
        shares.append(len(best(features, params) & best(features, whole)) / LISTED)
    return round(float(np.mean(shares)), 3)
