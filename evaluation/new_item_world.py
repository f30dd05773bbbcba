"""A simulated world with new items: the regret of a feed's policy, by the pure cores that serve.

Every item has an appeal, the probability that a user who looks at it clicks on it. The appeal of established items
shows in their statistics; new items arrive without any. Each visit is that of another user: a feed is ranked, the user
looks at its places, ever less often further down, and clicks; some of the other looks end with a skip. The statistics
of the items are folded from these actions, and the next feed is ranked by them. The regret of a visit is the expected
number of clicks that the feed has less than the best possible one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from domain.timestamp import DAY_MS, MINUTE_MS
from infra.settings import Settings
from models.blend.blender import Blender
from models.weight import weight_of
from schemas.types import Action, Features, Item
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemSignal, ItemState
from streams.core.params import RankParams
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from streams.runtime.core_params import rank_params, signal_params

FEED_ITEMS = 10
_ESTABLISHED_ITEMS, _KNOWN_LOOKS = 40, 300
"""Number of items that are known from the beginning, and of looks behind their statistics."""
_NEW_ITEMS, _ARRIVAL_VISITS = 10, 50
"""Number of new items at the beginning, and of visits until the next one arrives."""
_KNOWN_APPEAL, _NEW_APPEAL = (1.0, 4.0), (0.5, 2.0)
"""Parameters of the Beta distributions of the appeals of established items and of new items, which differ more."""
_LOOK_DECAY = 0.9
"""Probability of looking at a place, relative to the place before."""
_SKIP_SHARE = 0.2
"""Share of the looks without a click that end with a skip."""
_CLICK: tuple[Action, float] = ("click", weight_of("click", None))
_SKIP: tuple[Action, float] = ("skip", weight_of("skip", None))
_VISIT_MS = 10 * MINUTE_MS
_BEGIN_MS = 20_000 * DAY_MS
_LOOKS = _LOOK_DECAY ** np.arange(FEED_ITEMS)
_SIGNAL_PARAMS = signal_params(Settings())


def world_params(settings: Settings) -> RankParams:
    """Return the parameters of the ranking in the world: those of the settings, for a short feed."""
    return replace(rank_params(settings), max_recommendations=FEED_ITEMS)


def regret(params: RankParams, *, visits: int, seed: int) -> float:
    """Return the mean regret of a visit, in clicks.

    Args:
        params: The parameters of the ranking, from `world_params`.
        visits: Number of visits.
        seed: Seed of the appeals, and of what the users do.
    """
    world = _World(np.random.default_rng(seed))
    return float(np.mean([world.visit(number, params) for number in range(visits)]))


@dataclass(slots=True)
class _World:
    """The items, their statistics and their appeals."""

    random: np.random.Generator
    catalog: CatalogSnapshot = field(default_factory=CatalogSnapshot)
    blender: Blender = field(default_factory=new_blender)
    states: dict[str, ItemState] = field(default_factory=dict)
    appeals: dict[str, float] = field(default_factory=dict)
    _signal_count: int = 0

    def __post_init__(self) -> None:
        for _ in range(_ESTABLISHED_ITEMS):
            item_id = self._add(_KNOWN_APPEAL, created_at=_BEGIN_MS - 365 * DAY_MS)
            clicks = self.random.binomial(_KNOWN_LOOKS, self.appeals[item_id])
            skips = self.random.binomial(_KNOWN_LOOKS - clicks, _SKIP_SHARE)
            times_ms = self.random.integers(_BEGIN_MS - 90 * DAY_MS, _BEGIN_MS, clicks + skips).tolist()
            self._fold(item_id, [(*_CLICK, at_ms) for at_ms in times_ms[:clicks]])
            self._fold(item_id, [(*_SKIP, at_ms) for at_ms in times_ms[clicks:]])
        for _ in range(_NEW_ITEMS):
            self._add(_NEW_APPEAL, created_at=_BEGIN_MS)

    def visit(self, number: int, params: RankParams) -> float:
        """Return the regret of a visit, and fold what its user does.

        Args:
            number: The number of the visit.
            params: The parameters of the ranking.
        """
        now_ms = _BEGIN_MS + number * _VISIT_MS
        if number and number % _ARRIVAL_VISITS == 0:
            self._add(_NEW_APPEAL, created_at=now_ms)
        self.catalog.refresh()
        user = Features(user_id=f"u{number}", version=number, watermark=now_ms, event_count=0)
        feed = rank(user, self.catalog, self.blender, params, now_ms=now_ms)
        appeals = np.array([self.appeals[item_id] for item_id in feed.items])
        best = np.sort(np.array(list(self.appeals.values())))[::-1][:FEED_ITEMS]
        draws = self.random.random((3, FEED_ITEMS))
        for item_id, appeal, look, (looks, clicks, skips) in zip(feed.items, appeals, _LOOKS, draws.T, strict=True):
            if looks < look and clicks < appeal:
                self._fold(item_id, [(*_CLICK, now_ms)])
            elif looks < look and skips < _SKIP_SHARE:
                self._fold(item_id, [(*_SKIP, now_ms)])
        return float(_LOOKS @ (best - appeals))

    def _add(self, appeal: tuple[float, float], *, created_at: int) -> str:
        """Add an item with an appeal of a Beta distribution, and return its id."""
        item_id = f"i{len(self.appeals)}"
        self.appeals[item_id] = float(self.random.beta(*appeal))
        self.states[item_id] = ItemState(item_id)
        self.catalog.apply_item(Item(item_id=item_id, category="", title="", created_at=created_at))
        return item_id

    def _fold(self, item_id: str, actions: list[tuple[Action, float, int]]) -> None:
        """Fold actions on an item, each with its weight and time, into its statistics."""
        signals = []
        for action, weight, at_ms in actions:
            self._signal_count += 1
            position, evidence = Position(0, self._signal_count, at_ms), math.copysign(1.0, weight)
            signals.append(ItemSignal(item_id, position, at_ms, action, weight, evidence=evidence))
        if signals:
            item_stats.fold(self.states[item_id], item_stats.to_record(signals), params=_SIGNAL_PARAMS)
            self.catalog.apply_stats(item_stats.stats(self.states[item_id]))
