"""The feed as a list of stages, each in a module of `streams.core.ranking.stages`.

    candidate_sources   SOURCES: the items to consider, in a catalogue too large to score whole
    filters             FILTERS: the items that may not be shown, and those that come last
    features            FEATURES: values for each item, with prior weights, labels and reasons
    models.blend        the weighted sum of the features, with learned weights
    llm_blend           the language model's scores, as one more term
    serendipity         the gain of items that differ from what the user knows
    calibration         each interest's share of the feed
    diversity           the limit of each category
    exploration         POLICIES: new items in some places, with the propensity of each place
    reasons             the sentence at each item

The stages from the weighted sum to diversity are run for each order of a feed (`streams.core.ranking.ordering`), and
exploration once for all of them. Surfaces have orders of their own (`streams.core.ranking.surface_orders`).
Nothing here depends on the wall clock: decayed sums count as shares of the strongest, and elapsed time is the stream's.
The same features and the same catalog snapshot therefore always give the same feed, whenever and wherever it is ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from models.blend.blender import Blender
from schemas.types import Features, Feed, FeedItems, FeedOrder
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import NO_ITEMS, SCORE_DIGITS, Column, Indices, Kinds
from streams.core.ranking.choice_set import ChoiceSet
from streams.core.ranking.ordering import Candidates, Ordering, finite, orderings
from streams.core.ranking.ranking_query import CLASSES, DISLIKED, RankingQuery, order_contexts, ranking_query
from streams.core.ranking.stages.candidate_sources import candidate_items
from streams.core.ranking.stages.features import FEATURES, GROUPS, PRIOR, feature_matrix
from streams.core.ranking.stages.filters import apply_filters, is_removed, trailing
from streams.core.ranking.stages.llm_blend import CombinedScores, LlmRatings, blended, joined
from streams.core.ranking.stages.reasons import leading_groups, write_reasons
from streams.core.ranking.surface_orders import shown_kinds, surface_orders

MODEL = "blend-5"
UNKNOWN_ITEM = "unknown"
"""The group of requested items that are not in the catalog."""
_FILL_GROUP = FEATURES["popular"].group.name
"""The group of items without a positive contribution, and of items that only fill up a feed."""
_FILLED_AT_ONCE = 1_000
"""Items of the catalog that are looked at together when a feed is filled up."""
SELECTION_STEPS = {
    "llm_blend": "scores of the language model",
    "trailing": "items without a known distance or out of stock last",
    "serendipity": "serendipity",
    "calibration": "stated interests of a newcomer",
    "diversity": "diversity",
    "exploration": "exploration of new items",
}
"""The steps from the scores of the blend to the positions, in their order, with labels for people."""
_FEATURES_BY_GROUP = np.array(
    [[float(feature.group is group) for feature in FEATURES.values()] for group in GROUPS.values()]
)


@dataclass(frozen=True, slots=True)
class RankedFeed:
    """A feed, with the choice set of its items."""

    feed: Feed
    choice_set: ChoiceSet


@dataclass(frozen=True, slots=True)
class FeedSelection:
    """The candidates that the orders of a feed hold, each once."""

    orders: Sequence[Ordering]
    indices: NDArray[np.intp]
    """(n,) indices of the candidates."""
    numbers: NDArray[np.intp]
    """(n,) the number of the first order that holds each, ascending."""
    columns: Column
    """(features, n) their features."""
    choice_set: ChoiceSet


def new_blender() -> Blender:
    """Return a blender of the ranking features, before any learning."""
    return Blender(PRIOR, CLASSES)


def stream_time_ms(features: Features, catalog: CatalogSnapshot) -> int:
    """Return the time in the stream at which a user is ranked, in ms since the epoch: that of the newest event.

    Args:
        features: The features of the user.
        catalog: The catalog snapshot.
    """
    return max(catalog.watermark, features.watermark)


def build_candidates(features: Features, catalog: CatalogSnapshot, params: RankParams, *, at_ms: int) -> Candidates:
    """Return the candidates for a user at a time in the stream, with their features.

    Args:
        features: The features of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        at_ms: The stream's time, in ms since the epoch.
    """
    query, listing = ranking_query(features, catalog, params, at_ms=at_ms), catalog.columns.listing
    is_exact = len(listing.listed_items) <= params.exact_items
    items = listing.all_items if is_exact else candidate_items(query, catalog, params)
    where = slice(None) if is_exact else items
    filter_result = apply_filters(query, catalog, params, where)
    matrix = feature_matrix(query, catalog, where)
    last = trailing(query, catalog, params, where)
    return Candidates(query, items, filter_result.is_kept, matrix, last, filter_result.removed_counts)


def _candidates_of(
    names: Sequence[str], features: Features, catalog: CatalogSnapshot, params: RankParams, *, at_ms: int
) -> Candidates:
    """Return given items of the catalog as candidates, none of them filtered: distant or sold-out items come last."""
    query = ranking_query(features, catalog, params, at_ms=at_ms)
    items = np.unique(catalog.items.encode_known(names))
    items = items[items < catalog.columns.count]
    items = items[catalog.visible_to(features.prefetched, items)]
    last = trailing(query, catalog, params, items, is_filtered=False)
    matrix = feature_matrix(query, catalog, items)
    return Candidates(query, items, np.ones(len(items), bool), matrix, last)


def rank(
    features: Features,
    catalog: CatalogSnapshot,
    blender: Blender,
    params: RankParams,
    *,
    now_ms: int,
    llm: LlmRatings | None = None,
    among: Sequence[str] | None = None,
) -> Feed:
    """Return the feed of one user. It is empty only if the catalog is.

    Args:
        features: The features of the user.
        catalog: The catalog snapshot.
        blender: The shared weights.
        params: The parameters of the ranking.
        now_ms: The time of generation, in ms since the epoch.
        llm: The language model's scores for the user, if there are any.
        among: Ids of the items to rank, each once; the user's past actions exclude none. Items that are not in the
            catalog follow in the given order. None ranks the whole catalog.
    """
    at_ms = stream_time_ms(features, catalog)
    if among is None:
        candidates = build_candidates(features, catalog, params, at_ms=at_ms)
        return rank_candidates(candidates, catalog, blender, params, now_ms=now_ms, llm=llm).feed
    candidates = _candidates_of(among, features, catalog, params, at_ms=at_ms)
    whole = replace(params.without_exploration(), max_recommendations=len(candidates.items))
    feed = rank_candidates(candidates, catalog, blender, whole, now_ms=now_ms, llm=llm, is_read_later=False).feed
    return _with_unknown(feed, among)


def rank_candidates(
    candidates: Candidates,
    catalog: CatalogSnapshot,
    blender: Blender,
    params: RankParams,
    *,
    now_ms: int,
    llm: LlmRatings | None = None,
    is_read_later: bool = True,
) -> RankedFeed:
    """Return the feed of one user, from the user's candidates, with its choice set.

    Args:
        candidates: The candidates.
        catalog: The catalog snapshot, as it was when they were built.
        blender: The shared weights.
        params: The parameters of the ranking.
        now_ms: The time of generation, in ms since the epoch.
        llm: The language model's scores for the user, if there are any.
        is_read_later: Whether it is read on surfaces and by readers who come back, and needs orders for them.
    """
    query = candidates.query
    feed_selection = select_for_feed(candidates, catalog, blender, params, llm=llm, is_read_later=is_read_later)
    orders, selection, numbers = feed_selection.orders, feed_selection.indices, feed_selection.numbers
    weights = np.stack([one.weights for one in orders], axis=1)
    items, names = candidates.items[selection], list(feed_selection.choice_set.items)
    contributions = contributions_by_group(weights[:, numbers], feed_selection.columns)
    groups: list[str] = []
    if len(items):
        baseline = contributions_by_group(weights, candidates.mean_features()[:, None])[:, numbers]
        groups = leading_groups(list(GROUPS), contributions, baseline, default=_FILL_GROUP)
    items, fills = _filled(items, candidates, orders, catalog, params)
    names += [catalog.items.names[index] for index in items[len(names) :].tolist()]
    groups += [_FILL_GROUP] * (len(items) - len(groups))
    contributions = np.pad(contributions, ((0, 0), (0, len(items) - contributions.shape[1])))
    count = min(len(orders[0].selection) + len(fills[""]), params.max_recommendations)
    propensities = _propensities(orders[0], count)
    feed = Feed(
        user_id=query.features.user_id,
        features_version=query.features.version,
        generated_at=now_ms,
        watermark=query.features.watermark,
        model=MODEL,
        items=names,
        scores=contributions.sum(axis=0).round(SCORE_DIGITS).tolist(),
        sources=groups,
        reasons=write_reasons(items, [GROUPS[name].reason for name in groups], query, catalog),
        parts={name: values for name, values in zip(GROUPS, contributions.tolist(), strict=True) if any(values)},
        propensities=propensities,
        policy=params.exploration.policy if params.exploration is not None and propensities else "",
        trailing=_trailing(candidates, orders[0].selection, count),
        interactions_offset=query.features.interactions_offset,
    )
    combined_scores = _combined_scores(orders, selection, numbers)
    if llm is not None and combined_scores is not None:
        feed = blended(feed, combined_scores, np.arange(len(selection)), llm.scores)
    if len(orders) > 1:
        feed = _with_orders(feed, orders[1:], selection, fills, count=count)
    return RankedFeed(feed, feed_selection.choice_set)


def select_for_feed(
    candidates: Candidates,
    catalog: CatalogSnapshot,
    blender: Blender,
    params: RankParams,
    *,
    llm: LlmRatings | None = None,
    is_read_later: bool = True,
) -> FeedSelection:
    """Return the candidates that the orders of a user's feed hold.

    Args:
        candidates: The candidates.
        catalog: The catalog snapshot, as it was when they were built.
        blender: The shared weights.
        params: The parameters of the ranking.
        llm: The language model's scores for the user, if there are any.
        is_read_later: Whether it is read on surfaces and by readers who come back, and needs orders for them.
    """
    query = candidates.query
    contexts = order_contexts(query) if is_read_later else [(0, query.context)]
    orders = orderings(candidates, contexts, blender, catalog=catalog, params=params, llm=llm)
    if is_read_later:
        orders += surface_orders(candidates, contexts, blender, catalog=catalog, params=params, llm=llm)
    indices, numbers = _union(orders, len(candidates.items))
    columns = candidates.features.column(indices)
    names = [catalog.items.names[index] for index in candidates.items[indices].tolist()]
    return FeedSelection(orders, indices, numbers, columns, ChoiceSet.of(names, columns, contexts))


def _union(orders: Sequence[Ordering], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the candidates of all orders, and the number of the first order that holds each, in ascending order.

    Args:
        orders: The orders.
        count: Number of candidates.
    """
    if len(orders) == 1:
        return orders[0].selection, np.zeros(len(orders[0].selection), np.intp)
    is_held, parts = np.zeros(count, bool), []
    for one in orders:
        parts.append(one.selection[~is_held[one.selection]])
        is_held[one.selection] = True
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _combined_scores(
    orders: Sequence[Ordering], selection: NDArray[np.intp], numbers: NDArray[np.intp]
) -> CombinedScores | None:
    """Return the combined scores of the candidates of `_union`; None without any."""
    terms = [
        one.combined_scores.subset(np.flatnonzero(np.isin(one.selection, selection[numbers == number])))
        for number, one in enumerate(orders)
        if one.combined_scores is not None
    ]
    return joined(terms) if terms else None


def _with_orders(
    feed: Feed,
    orders: Sequence[Ordering],
    selection: NDArray[np.intp],
    fills: Mapping[str, Sequence[int]],
    *,
    count: int,
) -> Feed:
    """Return a feed with its other orders, given one whose columns hold the items of all orders.

    Args:
        feed: The feed of all items.
        orders: The orders after the first.
        selection: (n,) the candidate of each item; items beyond them fill up orders.
        fills: The numbers of the items that fill up the orders of each surface.
        count: Number of items of the first order.
    """
    index_of = {candidate: index for index, candidate in enumerate(selection.tolist())}
    later = [
        FeedOrder(
            from_ms=one.from_ms,
            indices=[*map(index_of.__getitem__, one.selection.tolist()), *fills[one.surface]],
            surface=one.surface,
        )
        for one in orders
    ]
    if len(feed.items) == count:
        return structs.replace(feed, orders=later)
    others = FeedItems(
        items=feed.items[count:],
        scores=feed.scores[count:],
        sources=feed.sources[count:],
        reasons=feed.reasons[count:],
        parts={name: values[count:] for name, values in feed.parts.items()},
        ml_scores=feed.ml_scores[count:],
    )
    return structs.replace(
        feed,
        items=feed.items[:count],
        scores=feed.scores[:count],
        sources=feed.sources[:count],
        reasons=feed.reasons[:count],
        parts={name: values[:count] for name, values in feed.parts.items()},
        ml_scores=feed.ml_scores[:count],
        others=others,
        orders=later,
    )


def _propensities(first: Ordering, count: int) -> list[float]:
    """Return the propensities of the places of a feed, including those that are filled up; empty without exploration.

    Args:
        first: The first order.
        count: Number of places.
    """
    if first.propensities is None:
        return []
    return [*first.propensities.tolist(), *[1.0] * (count - len(first.propensities))]


def _trailing(candidates: Candidates, selection: NDArray[np.intp], count: int) -> int:
    """Return the number of trailing items of a feed, including items that fill it up after them."""
    last = np.flatnonzero(candidates.is_trailing[selection])
    return count - int(last[0]) if len(last) else 0


def _with_unknown(feed: Feed, names: Sequence[str]) -> Feed:
    """Return a feed with the names it lacks appended."""
    feed_items = set(feed.items)
    rest = [name for name in dict.fromkeys(names) if name not in feed_items]
    return structs.replace(
        feed,
        items=feed.items + rest,
        scores=feed.scores + [min([0.0, *feed.scores])] * len(rest),
        sources=feed.sources + [UNKNOWN_ITEM] * len(rest),
        reasons=feed.reasons + ["Not in the catalogue"] * len(rest),
        parts={name: values + [0.0] * len(rest) for name, values in feed.parts.items()},
        trailing=feed.trailing + len(rest) if feed.trailing else 0,
    )


def contributions_by_group(weights: NDArray[np.float64], features: Column) -> NDArray[np.float64]:
    """Return (groups, items): the contribution of each feature group to a score; 0 where it is not finite.

    Args:
        weights: (features, items) weights behind each score; of a dimension of 1 all have the same.
        features: (features, items) values of the items.
    """
    return np.asarray(_FEATURES_BY_GROUP @ finite(weights * features))


def _filled(
    items: Indices,
    candidates: Candidates,
    orders: Sequence[Ordering],
    catalog: CatalogSnapshot,
    params: RankParams,
) -> tuple[Indices, Mapping[str, Sequence[int]]]:
    """Return the items of all orders with those that fill up short ones, and the numbers of the latter by surface.

    Args:
        items: (n,) the items of all orders.
        candidates: The candidates.
        orders: The orders; a surface without any has no entry.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
    """
    fills: dict[str, Sequence[int]] = {}
    numbers = {item: number for number, item in enumerate(items.tolist())}
    kinds_by_surface = shown_kinds(catalog, params) if any(one.surface for one in orders) else {}
    for one in orders:
        if one.surface in fills:
            continue
        fills[one.surface] = ()
        if len(one.selection) < params.max_recommendations:
            own_items = candidates.items[one.selection]
            kinds = kinds_by_surface.get(one.surface)
            fill = _fill(own_items, candidates.query, catalog, params, kinds=kinds)
            fills[one.surface] = [numbers.setdefault(item, len(numbers)) for item in fill.tolist()]
    return np.array([*numbers], np.int32), fills


def _fill(
    items: Indices,
    query: RankingQuery,
    catalog: CatalogSnapshot,
    params: RankParams,
    *,
    kinds: Kinds | None = None,
) -> Indices:
    """Return items to fill up a feed: unseen ones by popularity, then seen ones, not disliked, longest ago first.

    Args:
        items: The items of the feed.
        query: The ranking query of its user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        kinds: The kinds of items that may fill up the feed; None for all.
    """
    missing_count = params.max_recommendations - len(items)
    seen_items = catalog.items.encode_known(query.features.seen)
    dislikes = catalog.items.encode_known([one.item_id for one in query.features.recent if one.weight <= DISLIKED])
    out = np.concatenate([items, dislikes])
    rest, fill = catalog.columns.by_popularity(kinds), NO_ITEMS
    for start in range(0, len(rest), _FILLED_AT_ONCE):
        chunk = rest[start : start + _FILLED_AT_ONCE]
        chunk = chunk[~np.isin(chunk, np.concatenate([out, seen_items]))]
        fill = np.concatenate([fill, _kept(chunk, query, catalog, params)])
        if len(fill) >= missing_count:
            break
    else:
        seen_items = seen_items[seen_items < catalog.columns.count]
        seen_items = seen_items[catalog.is_listed[seen_items] & ~np.isin(seen_items, out)]
        seen_items = seen_items if kinds is None else seen_items[catalog.columns.listing.are_of(kinds, seen_items)]
        fill = np.concatenate([fill, _kept(seen_items, query, catalog, params)])
    return fill[:missing_count]


def _kept(items: Indices, query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that no filter removes, but for that of seen ones, in their order."""
    order = np.argsort(items)
    mask = np.empty(len(items), bool)
    mask[order] = is_removed(query, catalog, params, items[order], without={"seen"})
    return items[~mask]
