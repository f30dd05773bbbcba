"""The orders of a user's candidates: their scores by the weights of a context, and the selection of a feed from them.

A feed holds several orders, one for each class of time since the user's last event: the weights differ by class, and
nobody ranks again when the user comes back. The features are the same for all of them, and so are the new items that
exploration puts into a feed, and their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.blend.blender import Blender, Context, Weights
from models.blend.feature_matrix import FeatureMatrix
from streams.core.params import ExplorationParams, RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import SCORE_DIGITS, Column, Indices
from streams.core.ranking.ranking_query import RankingQuery
from streams.core.ranking.stages.calibration import Quota, calibrate, quotas
from streams.core.ranking.stages.diversity import diversify
from streams.core.ranking.stages.exploration import contested_places
from streams.core.ranking.stages.features import FEATURES, factors_in_order, weights_in_order
from streams.core.ranking.stages.llm_blend import CombinedScores, LlmRatings, combine
from streams.core.ranking.stages.serendipity import unexpectedness

OWN_ITEMS = 20
"""Largest number of items that a later order adds to those of the first."""
_POOL = 8
"""Number of the best items of the first order that later orders choose from, in feeds."""
_SHORTLIST = 4
"""Size of the shortlist that diversity chooses from, in feeds."""
_SAMPLED, _SAMPLE_MARGIN = 8, 2
"""Sampling step over the scores, and the factor by which the sample's cut-off is widened."""
_FETCHED, _FETCHED_SHARE = list(FEATURES).index("prefetched"), 0.8
"""The index of the `prefetched` feature, and how far it lifts from the mean score to the best of the other items."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates for a user at a time."""

    query: RankingQuery
    items: Indices
    is_admissible: NDArray[np.bool_]
    """(items,) whether each item may be shown."""
    features: FeatureMatrix
    is_trailing: NDArray[np.bool_]
    """(items,) whether each item comes after all others, regardless of its score."""
    removed_counts: dict[str, int] = field(default_factory=dict)
    """The number of items of the catalog that were removed, by filter."""

    def subset(self, indices: NDArray[np.intp]) -> Candidates:
        """Return some of the candidates, which are given by ascending indices."""
        return replace(
            self,
            items=self.items[indices],
            is_admissible=self.is_admissible[indices],
            features=self.features.subset(indices),
            is_trailing=self.is_trailing[indices],
        )

    def mean_features(self) -> Column:
        """Return (features,) the mean of each feature over the admissible items."""
        count = np.float32(np.count_nonzero(self.is_admissible))
        return self.features.expectation(self.is_admissible.astype(np.float32) / count)


@dataclass(frozen=True, slots=True)
class Ordering:
    """One order of a feed."""

    from_ms: int
    """Time since the last event from which it is shown, in ms."""
    weights: Weights
    """(features,) the weights behind it."""
    selection: NDArray[np.intp]
    """(n,) indices of its candidates, best first."""
    combined_scores: CombinedScores | None
    """(n,) their scores combined with the language model's, if it has scored any candidate."""
    surface: str = ""
    """The surface whose kinds of items it holds; empty for all kinds."""
    propensities: NDArray[np.float64] | None = None
    """(n,) the probability of what each place holds, the same in all orders of a feed; None without exploration."""


@dataclass(frozen=True, slots=True)
class CandidateScores:
    """The scores of candidates that decide an order."""

    totals: Column
    """(items,) the scores: those of the ranking, or combined with the language model's."""
    combined_scores: CombinedScores | None
    """(items,) the terms of the latter; None for the former."""
    unit: float
    """The difference in them that stands for one of 1 in log-odds."""


def weights_for(query: RankingQuery, blender: Blender) -> Weights:
    """Return (features,) weights for a user in a new array: shared ones that serve plus the user's own, times factors.

    Args:
        query: The ranking query of the user.
        blender: The shared weights.
    """
    weights: Weights = weights_in(query, [query.context], blender)[0]
    return weights


def weights_in(query: RankingQuery, contexts: Sequence[Context], blender: Blender) -> Weights:
    """Return (contexts, features) weights for a user in several contexts, as `weights_for`.

    Args:
        query: The ranking query of the user.
        contexts: The contexts, instead of that of the query.
        blender: The shared weights.
    """
    own = query.features.weights
    offset = weights_in_order(own) if own else None
    weights = finite(np.array([blender.serving_weights(context, offset) for context in contexts]))
    return weights * factors_in_order(query.weight_factors) if query.weight_factors else weights


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with 0 where they are not finite."""
    return values if np.isfinite(values).all() else np.nan_to_num(values, posinf=0.0, neginf=0.0)


def score(candidates: Candidates, weights: Weights) -> Column:
    """Return (items,) scores; -inf for an item that may not be shown, or whose score is not finite.

    Args:
        candidates: The candidates.
        weights: (features,) weights.
    """
    scores = candidates.features.weighted_sum(weights.astype(np.float32)).round(SCORE_DIGITS)
    scores[~(candidates.is_admissible & np.isfinite(scores))] = -np.inf
    return scores


def order(
    candidates: Candidates, scores: Column, catalog: CatalogSnapshot, params: RankParams, *, unit: float = 1.0
) -> NDArray[np.intp]:
    """Return the indices of the items that make the feed, best first, then the trailing items.

    Args:
        candidates: The candidates.
        scores: (items,) scores of the candidates.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        unit: The difference in the scores that stands for one of 1 in log-odds.
    """
    is_trailing = candidates.is_trailing[candidates.is_admissible]
    if is_trailing.all() or not is_trailing.any():
        return _ordered(candidates, scores, catalog, params, unit=unit)
    first, last = (
        replace(candidates, is_admissible=candidates.is_admissible & some)
        for some in (~candidates.is_trailing, candidates.is_trailing)
    )
    selection = _ordered(first, np.where(first.is_admissible, scores, -np.inf), catalog, params, unit=unit)
    if len(selection) < params.max_recommendations:
        selection = np.concatenate(
            [selection, _ordered(last, np.where(last.is_admissible, scores, -np.inf), catalog, params, unit=unit)]
        )
    return selection[: params.max_recommendations]


def orderings(
    candidates: Candidates,
    contexts: Sequence[tuple[int, Context]],
    blender: Blender,
    *,
    catalog: CatalogSnapshot,
    params: RankParams,
    llm: LlmRatings | None,
) -> list[Ordering]:
    """Return the orders of a feed. One that equals the order before it is left out.

    The first order chooses among all candidates. A later one chooses among the items of the first and a few others: the
    best by its own weights of those that come high in the first. So a feed has a bounded number of items. Exploration
    gives the same places of all orders to the same new items, which compete with the items of the first order.

    Args:
        candidates: The candidates.
        contexts: The context of each order, with the time since the last event from which it is shown, in ms.
        blender: The shared weights.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        llm: The language model's scores for the user, if there are any.
    """
    weights = weights_in(candidates.query, [context for _, context in contexts], blender)
    scoring = _Scoring(candidates, catalog, params, llm)
    first, scores = scoring.ordering(weights[0])
    orders = [first]
    if (weights != weights[0]).any() and len(first.selection):
        orders += _later_orders(scoring, first, scores, contexts, weights)
    return orders if params.exploration is None else _explored(orders, scoring, scores, params.exploration)


def _later_orders(
    scoring: _Scoring,
    first: Ordering,
    scores: CandidateScores,
    contexts: Sequence[tuple[int, Context]],
    weights: NDArray[np.float64],
) -> list[Ordering]:
    """Return the orders after the first that differ from the one before.

    Args:
        scoring: What scores and selects the candidates.
        first: The first order.
        scores: The scores that decided it.
        contexts: The context of each order, the first included.
        weights: (contexts, features) the weights of each.
    """
    candidates, last, orders = scoring.candidates, first, list[Ordering]()
    pool = scoring.pool(scores.totals, first.selection)
    pool_scoring = replace(
        scoring,
        candidates=candidates.subset(pool),
        means=candidates.mean_features() if candidates.query.features.prefetched else None,
    )
    is_first = _mask(first.selection, len(candidates.items))[pool]
    for (from_ms, _), own_weights in zip(contexts[1:], weights[1:], strict=True):
        later, _ = pool_scoring.ordering(own_weights, is_first=is_first, from_ms=from_ms)
        later = replace(later, selection=pool[later.selection])
        if not np.array_equal(later.selection, last.selection):
            orders.append(later)
            last = later
    return orders


def _explored(
    orders: list[Ordering], scoring: _Scoring, scores: CandidateScores, params: ExplorationParams
) -> list[Ordering]:
    """Return orders with new items in some places, and the propensities of all places.

    Args:
        orders: The orders.
        scoring: What scores and selects the candidates.
        scores: The scores that decided the first order.
        params: The parameters of exploration.
    """
    candidates, features = scoring.candidates, scoring.candidates.query.features
    is_trailing = candidates.is_trailing
    if is_trailing[candidates.is_admissible].all():  # then none comes after others
        is_trailing = np.zeros_like(is_trailing)
    contests = contested_places(
        [one.selection for one in orders],
        candidates.query,
        candidates.items,
        np.where(is_trailing, -np.inf, scores.totals / scores.unit),
        count=min(int(np.count_nonzero(~is_trailing[one.selection])) for one in orders),
        catalog=scoring.catalog,
        params=params,
    )
    if not contests:
        return orders
    selections, propensities = [one.selection.copy() for one in orders], np.ones(len(orders[0].selection))
    for contest in contests:
        index = contest.draw(features.user_id, features.version)
        propensities[contest.place] = contest.probabilities[index]
        if index:
            for selection in selections:
                selection[contest.place] = contest.new_items[index - 1]
    return [
        replace(
            one,
            selection=selection,
            propensities=propensities,
            # The new items are items of the first order. Its terms are theirs; those of later orders are not read.
            combined_scores=scores.combined_scores.subset(selection)
            if number == 0 and scores.combined_scores is not None
            else one.combined_scores,
        )
        for number, (one, selection) in enumerate(zip(orders, selections, strict=True))
        if number == 0 or not np.array_equal(selection, selections[number - 1])
    ]


@dataclass(frozen=True, slots=True)
class _Scoring:
    """Candidates, and what scores and selects them but for the weights."""

    candidates: Candidates
    catalog: CatalogSnapshot
    params: RankParams
    llm: LlmRatings | None
    means: Column | None = None
    """(features,) means over all candidates, if these are only a part of them."""

    def ordering(
        self, weights: Weights, *, is_first: NDArray[np.bool_] | None = None, from_ms: int = 0
    ) -> tuple[Ordering, CandidateScores]:
        """Return an order, and the scores that decided it.

        Args:
            weights: (features,) the weights of the order.
            is_first: (items,) whether each item is in the first order, for a later one.
            from_ms: Time since the last event from which it is shown, in ms.
        """
        candidates = self.candidates
        scores = score(candidates, weights)
        if candidates.query.features.prefetched:
            mean = None if self.means is None else float(weights @ self.means)
            scores, weights = lifted(candidates, scores, weights, self.catalog, mean=mean)
        combined_scores = (
            None if self.llm is None else _combined(candidates, scores, self.llm, self.catalog, self.params)
        )
        totals, unit = (
            (scores, 1.0) if combined_scores is None else (combined_scores.total, combined_scores.unit(scores))
        )
        if is_first is None:
            selection = order(candidates, totals, self.catalog, self.params, unit=unit)
        else:
            members = np.flatnonzero(self._competing(totals, is_first))
            subset = candidates.subset(members)
            selection = members[order(subset, totals[members], self.catalog, self.params, unit=unit)]
        terms = None if combined_scores is None else combined_scores.subset(selection)
        return Ordering(from_ms, weights, selection, terms), CandidateScores(totals, combined_scores, unit)

    def pool(self, totals: Column, selection: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the ascending indices of the candidates that later orders choose from.

        Args:
            totals: (items,) scores of the candidates in the first order.
            selection: The candidates of the first order.
        """
        most = _POOL * self.params.max_recommendations
        if len(totals) <= most:
            return np.arange(len(totals))
        is_in_pool = _mask(selection, len(totals))
        is_in_pool[highest(totals, most)] = True
        if self.llm is not None:
            is_in_pool |= np.isfinite(self.llm.column(self.candidates.items, self.catalog))
        return np.flatnonzero(is_in_pool)

    def _competing(self, totals: Column, is_first: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (items,) whether each item competes for a place in a later order."""
        competes = is_first.copy()
        if np.count_nonzero(is_first) == self.params.max_recommendations:  # else the first order holds all there are
            competes[_shortlist(self.candidates, totals, self.catalog, most=OWN_ITEMS)[:OWN_ITEMS]] = True
        return competes


def lifted(
    candidates: Candidates,
    scores: Column,
    weights: Weights,
    catalog: CatalogSnapshot,
    *,
    mean: float | None = None,
) -> tuple[Column, Weights]:
    """Return scores and weights with the lift of prefetched items, in new arrays.

    Args:
        candidates: The candidates.
        scores: (items,) scores of the candidates.
        weights: (features,) weights behind the scores.
        catalog: The catalog snapshot.
        mean: The mean score by these weights of all items that compete; that of the candidates by default.
    """
    prefetched_items = catalog.items.encode_known(candidates.query.features.prefetched)
    is_prefetched = np.isin(candidates.items, prefetched_items) & candidates.is_admissible
    lift = _prefetched_lift(scores, is_prefetched, candidates.is_admissible & ~is_prefetched, mean=mean)
    new_weights = weights.copy()
    new_weights[_FETCHED] += lift
    return np.where(is_prefetched, scores + np.float32(lift), scores), new_weights


def _prefetched_lift(
    scores: Column, is_prefetched: NDArray[np.bool_], others: NDArray[np.bool_], *, mean: float | None
) -> float:
    """Return the amount that raises the scores of prefetched items to the level of the best others.

    The blender never learns from outcomes on prefetched items, so their weight stays the same while other weights grow.
    """
    rest = scores[others]
    if not len(rest) or not is_prefetched.any():
        return 0.0
    mean = float(rest.mean()) if mean is None else mean
    target = mean + _FETCHED_SHARE * (float(rest.max()) - mean)
    return max(target - float(scores[is_prefetched].mean()), 0.0)


def _combined(
    candidates: Candidates, scores: Column, llm: LlmRatings, catalog: CatalogSnapshot, params: RankParams
) -> CombinedScores | None:
    """Return the scores combined with the language model's; None if it has scored no admissible candidate."""
    column = llm.column(candidates.items, catalog)
    if not (np.isfinite(column) & np.isfinite(scores)).any():
        return None
    return combine(scores, column, llm.weights, feed_items=params.max_recommendations)


def _ordered(
    candidates: Candidates, scores: Column, catalog: CatalogSnapshot, params: RankParams, *, unit: float
) -> NDArray[np.intp]:
    best = _shortlist(candidates, scores, catalog, most=_SHORTLIST * params.max_recommendations)
    shares = quotas(candidates.query, candidates.items, catalog, params)
    if shares:
        interests = [_of_interest(share, candidates, scores, most=params.max_recommendations) for share in shares]
        best = np.unique(np.concatenate([best, *interests]))
    gains = unexpectedness(candidates.query, candidates.items[best], catalog)
    if shares or gains is not None:
        values = scores[best] if gains is None else scores[best] + params.serendipity_weight * unit * gains
        best = best[np.lexsort((catalog.tie_breakers[candidates.items[best]], -values.round(SCORE_DIGITS)))]
    if shares:
        best = calibrate(best, shares, params.max_recommendations)
    return diversify(best, catalog.category[candidates.items[best]], params)


def _of_interest(share: Quota, candidates: Candidates, scores: Column, *, most: int) -> NDArray[np.intp]:
    """Return the indices of the best admissible items of an interest."""
    indices = np.flatnonzero(share.members & candidates.is_admissible)
    return indices[np.argsort(-scores[indices], kind="stable")[:most]]


def _shortlist(candidates: Candidates, scores: Column, catalog: CatalogSnapshot, *, most: int) -> NDArray[np.intp]:
    """Return the indices of the best admissible items, best first, ties by id."""
    if len(scores) > most:
        indices = highest(scores, most)
        indices = indices[candidates.is_admissible[indices]]
    else:
        indices = np.flatnonzero(candidates.is_admissible)
    return indices[np.lexsort((catalog.tie_breakers[candidates.items[indices]], -scores[indices]))]


def _mask(indices: NDArray[np.intp], length: int) -> NDArray[np.bool_]:
    """Return a mask that is true at some indices."""
    mask = np.zeros(length, bool)
    mask[indices] = True
    return mask


def highest(scores: Column, most: int) -> NDArray[np.intp]:
    """Return the ascending indices of the best scores, including all ties with the last of them.

    A sample of the scores rules most others out, in a third of the time.

    Args:
        scores: (items,) scores.
        most: Number of scores wanted; there are more.
    """
    sample = scores[::_SAMPLED]
    sample_rank = _SAMPLE_MARGIN * most // _SAMPLED
    if sample_rank < len(sample):
        indices = np.flatnonzero(scores >= np.partition(sample, -sample_rank)[-sample_rank])
        if len(indices) >= most:
            good = scores[indices]
            return np.asarray(indices[good >= np.partition(good, -most)[-most]])
    return np.flatnonzero(scores >= np.partition(scores, -most)[-most])
