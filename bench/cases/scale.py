"""Ranking in catalogues of growing size: the cost of a user, and the candidates' recall against ranking everything.

The case needs no servers. Catalogues are generated (`bench.catalogue`); the weights are learned from the users' next
choices in the first one. Each user is ranked several times, and the fastest counts: processor time, to which other work
on the machine can only add. The catalogues take turns, so that a slow minute of the machine is one for all of them.
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
from streams.core.learning.choices import learn_outcome
from streams.core.params import RankParams
from streams.core.ranking.ordering import OWN_ITEMS
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
    params, catalogues = rank_params(settings), list[Catalogue]()
    for number, items in enumerate(plan.items):
        on_progress("generate catalogues", number, len(plan.items))
        catalogues.append(generate(items, users=USERS, text_items=plan.text_items))
    with threadpool_limits(1, user_api="blas"):
        blender, figures = _learned(catalogues[0], params), dict[str, float]()
        spent_s = np.zeros((_ROUNDS, len(catalogues), USERS, 2))
        for number, of_round in enumerate(spent_s):
            on_progress("rank in each catalogue", number, _ROUNDS)
            for of_catalogue, catalogue in zip(of_round, catalogues, strict=True):
                of_catalogue[:] = _seconds(catalogue, blender, params)
        for items, (build_s, rank_s) in zip(plan.items, spent_s.min(axis=0).mean(axis=1).tolist(), strict=True):
            figures[f"build_ms_{items}"] = round(1e3 * build_s, 3)
            figures[f"ms_per_user_{items}"] = round(1e3 * (build_s + rank_s), 3)
        catalogue = catalogues[plan.items.index(plan.recall_items)]
        return figures | {"recall_items": plan.recall_items, "recall_at_10": _recall(catalogue, blender, params)}


def _learned(catalogue: Catalogue, params: RankParams) -> Blender:
    """Return weights learned from the users' next choices."""
    weights = PersonalWeights(new_blender())
    for features, choice in zip(catalogue.users, catalogue.choices, strict=True):
        candidates = build_candidates(features, catalogue.snapshot, params, at_ms=NOW_MS)
        rows = np.flatnonzero(candidates.items == catalogue.snapshot.items.get(choice))
        if len(rows) and candidates.is_admissible[rows[0]]:
            learn_outcome(weights, candidates, int(rows[0]), feed_items=params.max_recommendations + OWN_ITEMS)
    return weights.blender


def _seconds(catalogue: Catalogue, blender: Blender, params: RankParams) -> list[tuple[float, float]]:
    """Return the processor time of building the candidates of each user, and of ranking them."""
    spent_s = []
    for features in catalogue.users:
        began_s = time.process_time()
        candidates = build_candidates(features, catalogue.snapshot, params, at_ms=NOW_MS)
        built_s = time.process_time()
        rank_candidates(candidates, catalogue.snapshot, blender, params, now_ms=NOW_MS)
        spent_s.append((built_s - began_s, time.process_time() - built_s))
    return spent_s


def _recall(catalogue: Catalogue, blender: Blender, params: RankParams) -> float:
    """Return the share of the ten best of everything that lead the feeds of the candidates, too."""
    whole, shares = replace(params, exact_items=_EVERYTHING), []

    def best(features: Features, some: RankParams) -> set[str]:
        return set(rank(features, catalogue.snapshot, blender, some, now_ms=NOW_MS).items[:LISTED])

    for features in catalogue.users:
        shares.append(len(best(features, params) & best(features, whole)) / LISTED)
    return round(float(np.mean(shares)), 3)
