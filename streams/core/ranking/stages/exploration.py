"""Exploration: new items take places of a feed, by a policy that states the probability of what it shows.

Ranking by what is known keeps showing what is known. Some places of a feed are therefore contested: the item that
ranking has put there competes with new items. The value of each has a Beta distribution. The priors and the blend's
estimate come first, the probability that the user prefers it to the item in place, as the learned conditional logit
has it. The actions on the item then move and narrow the distribution, whoever acted.

    thompson         each wins with the probability that its value is the highest (Thompson 1933)
    ucb              the highest quantile wins, of a level that grows with the evidence (Kaufmann et al. 2012)
    epsilon-greedy   the highest mean wins, but with the probability epsilon a random new item

No new item competes for two places. So places are independent, and the probability of the item that a place shows is
exactly its propensity. Draws depend on the user and the version of the features alone: the same features and the same
catalog snapshot always give the same feed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.dedup import fingerprint
from streams.core.params import ExplorationParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import Indices
from streams.core.ranking.ranking_query import RankingQuery

Probabilities = NDArray[np.float64]

_ESTIMATE = 1.0
"""Number of outcomes that the blend's estimate is worth."""
_MAX_RATIO = 20.0
"""Number of positive actions for each negative one beyond which the latter are too rare to count."""
_MAX_EVIDENCE = 1_000.0
"""Number of actions beyond which more of them make a distribution no narrower."""
_MIN_MEAN = 1e-3
"""Bound of the blend's estimates, so that all distributions have a width."""
_MAX_LOGIT = 30.0
_DIGITS = 9
_CELLS = 256
"""Cells of the distributions. They are even in the angle whose squared sine is the probability: on this scale the width
of a Beta distribution depends on its evidence alone."""
_ANGLES = (np.arange(_CELLS) + 0.5) * (np.pi / 2 / _CELLS)
_LOG_SINES, _LOG_COSINES = np.log(np.sin(_ANGLES)), np.log(np.cos(_ANGLES))
_VALUES = np.sin(_ANGLES) ** 2
_MIN_MASS = 1e-300
_HASH_RANGE = float(1 << 63)


@dataclass(frozen=True, slots=True)
class Competitors:
    """The competitors for a place: the item in place, then new items, each with the evidence for it."""

    alphas: Probabilities
    """(n,) parameters of the Beta distributions: outcomes in favour of each."""
    betas: Probabilities
    """(n,) outcomes against each."""

    def masses(self) -> Probabilities:
        """Return (n, cells) the probability of each cell of values, ascending."""
        logs = (2 * self.alphas - 1)[:, None] * _LOG_SINES + (2 * self.betas - 1)[:, None] * _LOG_COSINES
        # The density may have a pole at either end, whose cell holds more than its middle says.
        logs[:, 0] += (2 * self.alphas - 1) * math.log(2.0) - np.log(2 * self.alphas)
        logs[:, -1] += (2 * self.betas - 1) * math.log(2.0) - np.log(2 * self.betas)
        masses = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares: Probabilities = masses / masses.sum(axis=1, keepdims=True)
        return shares


def thompson(competitors: Competitors, _: ExplorationParams) -> Probabilities:
    """Return (n,) the probability that the value of each is the highest.

    Args:
        competitors: The competitors.

    >>> thompson(Competitors(np.array([1.0, 1.0]), np.array([1.0, 1.0])), None).tolist()
    [0.5, 0.5]
    """
    masses = competitors.masses()
    below = np.log((masses.cumsum(axis=1) - masses / 2).clip(min=_MIN_MASS))
    wins = (masses * np.exp(below.sum(axis=0) - below)).sum(axis=1)
    shares: Probabilities = wins / wins.sum()
    return shares


def ucb(competitors: Competitors, _: ExplorationParams) -> Probabilities:
    """Return (n,) 1 for the one with the highest upper confidence bound, the first of several, and 0 for the others.

    Args:
        competitors: The competitors.
    """
    level = 1.0 - 1.0 / (1.0 + float((competitors.alphas + competitors.betas).sum()))
    bounds = _VALUES[np.count_nonzero(competitors.masses().cumsum(axis=1) < level, axis=1).clip(max=_CELLS - 1)]
    wins = np.zeros(len(bounds))
    wins[np.argmax(bounds)] = 1.0
    return wins


def epsilon_greedy(competitors: Competitors, params: ExplorationParams) -> Probabilities:
    """Return (n,) equal shares of epsilon for the new items, and the rest for the one with the highest mean.

    Args:
        competitors: The competitors.
        params: Supplies epsilon.
    """
    new_count = len(competitors.alphas) - 1
    shares = np.array([0.0, *[params.epsilon / new_count] * new_count])
    shares[np.argmax(competitors.alphas / (competitors.alphas + competitors.betas))] += 1.0 - params.epsilon
    return shares


Policy = Callable[[Competitors, ExplorationParams], Probabilities]
"""Returns (n,) the probability of showing each of several items at a place."""
POLICIES: Mapping[str, Policy] = {"thompson": thompson, "ucb": ucb, "epsilon-greedy": epsilon_greedy}


@dataclass(frozen=True, slots=True)
class ContestedPlace:
    """A place of a feed for which new items compete."""

    place: int
    """Its number, from 0."""
    new_items: NDArray[np.intp]
    """(n,) candidates."""
    probabilities: Probabilities
    """(1 + n,) the probability that the item in place stays, and that of each new item."""

    def draw(self, user_id: str, version: int) -> int:
        """Return the index in `probabilities` of the item that the place shows.

        Args:
            user_id: The user.
            version: The version of the user's features.
        """
        uniform = fingerprint(f"{user_id}\n{version}\n{self.place}") / _HASH_RANGE
        index = int(self.probabilities.cumsum().searchsorted(uniform, side="right"))
        return min(index, int(np.flatnonzero(self.probabilities)[-1]))


def exploring_places(params: ExplorationParams, count: int) -> list[int]:
    """Return the places of a feed that may explore, ascending: no beginning of the feed has more than their share.

    Args:
        params: Supplies the share, and the number of places that never explore.
        count: Number of places.
    """
    numbers = range(1, int(round(count * params.share, _DIGITS)) + 1)
    places = [math.ceil(round(number / params.share, _DIGITS)) - 1 for number in numbers]
    return [place for place in places if place >= params.after]


def are_new(
    query: RankingQuery, items: Indices, catalog: CatalogSnapshot, params: ExplorationParams
) -> NDArray[np.bool_]:
    """Return (items,) whether each item is new: since its first action, or in the catalogue if it has none.

    Args:
        query: The ranking query of the user.
        items: (items,) the items.
        catalog: The catalog snapshot.
        params: Supplies the time for which an item is new.
    """
    first_at = catalog.first_at[items]
    since_ms = np.where(first_at > 0, first_at, catalog.created_at[items])
    is_new: NDArray[np.bool_] = since_ms >= query.at_ms - params.new_ms
    return is_new


def contested_places(
    selections: Sequence[NDArray[np.intp]],
    query: RankingQuery,
    items: Indices,
    log_odds: NDArray[np.float64],
    *,
    count: int,
    catalog: CatalogSnapshot,
    params: ExplorationParams,
) -> list[ContestedPlace]:
    """Return the places of a feed for which new items compete, with the probability of each result.

    New items that an order of the feed holds already do not compete. The others are taken by their scores, the first
    for the first place, the second for the second, and so on.

    Args:
        selections: The candidates of each order of the feed, best first.
        query: The ranking query of the user.
        items: (candidates,) indices of their items.
        log_odds: (candidates,) scores; -inf for candidates that do not compete.
        count: Number of places at the beginning of the feed that may be contested.
        catalog: The catalog snapshot.
        params: The parameters of exploration.
    """
    places = exploring_places(params, count)
    is_competing = np.isfinite(log_odds)
    is_competing[np.concatenate(selections)] = False
    competing = np.flatnonzero(is_competing)
    competing = competing[are_new(query, items[competing], catalog, params)]
    if not places or not len(competing):
        return []
    most = params.competitors * len(places)
    if len(competing) > most:
        values = log_odds[competing]
        competing = competing[values >= np.partition(values, -most)[-most]]
    ties = catalog.tie_breakers[items[competing]] ^ fingerprint(query.features.user_id)
    competing = competing[np.lexsort((ties, -log_odds[competing]))][:most]
    contests = (
        _contest(place, int(selections[0][place]), competing[number :: len(places)], items, log_odds, catalog, params)
        for number, place in enumerate(places)
    )
    return [contest for contest in contests if contest is not None]


def _contest(
    place: int,
    holder: int,
    rivals: NDArray[np.intp],
    items: Indices,
    log_odds: NDArray[np.float64],
    catalog: CatalogSnapshot,
    params: ExplorationParams,
) -> ContestedPlace | None:
    """Return the contest for a place; None if no new item has the least probability of being preferred."""
    members = np.array([holder, *rivals.tolist()], np.intp)
    means = 1.0 / (1.0 + np.exp((log_odds[holder] - log_odds[members]).clip(-_MAX_LOGIT, _MAX_LOGIT)))
    is_kept = means >= params.min_probability
    is_kept[0] = True
    members, means = members[is_kept], means[is_kept].clip(_MIN_MEAN, 1.0 - _MIN_MEAN)
    if len(members) == 1:
        return None
    wins, losses = _evidence(items[members], means, catalog)
    competitors = Competitors(
        params.bandit_alpha + _ESTIMATE * means + wins, params.bandit_beta + _ESTIMATE * (1.0 - means) + losses
    )
    return ContestedPlace(place, members[1:], POLICIES[params.policy](competitors, params))


def _evidence(
    items: Indices, means: Probabilities, catalog: CatalogSnapshot
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n,) outcomes for and against items, by the actions on them.

    Actions against items are rarer than those for them, so each counts as many times as makes both equal over the
    catalogue: an item like the others wins as often as it loses. Where nearly all actions are positive, they tell how
    many there were, but not how they ended; then they are divided as the blend's estimate says.

    Args:
        items: (n,) the items.
        means: (n,) the blend's estimates.
        catalog: The catalog snapshot.
    """
    positive, negative = catalog.outcome_counts[items].T
    ratio = catalog.columns.outcome_ratio
    wins, losses = (
        (positive, negative * ratio) if ratio <= _MAX_RATIO else (positive * means, positive * (1.0 - means) + negative)
    )
    scale = _MAX_EVIDENCE / np.maximum(wins + losses, _MAX_EVIDENCE)
    return wins * scale, losses * scale
