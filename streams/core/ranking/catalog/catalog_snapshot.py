"""Catalog snapshot: every worker's columns over all items, with catalog data, item statistics and item-item links.

An item gets its index when its first record arrives; columns are arrays over these indices. `refresh` rebuilds the
charts that ranking starts from, never while a user is being ranked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.nearby import GeoIndex
from domain.stock import is_sold_out
from models.factorization.item_embeddings import DIMENSIONS, EmbeddingConfig, ItemEmbeddings
from models.neighbours.cooccurrence import HALF_LIFE_DAYS, DecayedCooccurrence
from models.neighbours.item_item_matrix import ItemItemMatrix
from models.text.word_index import WordIndex
from models.vocabulary import MISSING, Vocabulary
from models.weight import signed_counts
from schemas.event_context import context_labels, first_label
from schemas.limit import OutOfRangeError
from schemas.types import (
    EncoderVector,
    Interaction,
    Item,
    ItemEmbedding,
    ItemNeighbors,
    ItemStats,
    ItemWeights,
)
from streams.core.dedup import fingerprint
from streams.core.item.embedding_record import stored_vector
from streams.core.item.item_stats import COHORTS, HOURS, SEGMENTS, WEEKDAYS
from streams.core.params import EXACT_ITEMS
from streams.core.ranking.catalog.content_index import ContentIndex
from streams.core.ranking.catalog.embedding_index import EmbeddingIndex
from streams.core.ranking.catalog.encoder_spaces import NO_ENCODER, EncoderSpaces
from streams.core.ranking.catalog.event_time import STARTS, validity_window
from streams.core.ranking.catalog.item_columns import (
    HORIZONS,
    Indices,
    ItemColumns,
    ListedItems,
    Scores,
    Where,
    marked,
)
from streams.core.ranking.catalog.item_type_index import ItemTypeIndex
from streams.core.ranking.catalog.mapped_embeddings import MappedEmbeddings
from streams.core.ranking.catalog.visit_times import VisitTimes

TOPICS_PER_ITEM = 8
_TRENDING, _POPULAR = HORIZONS.index("trending"), HORIZONS.index("popular")
_RECEIVED_HORIZONS = [HORIZONS.index(name) for name in ("day", "week", "lasting", "slow")]
_LENGTHS = {"horizons": (3, len(_RECEIVED_HORIZONS)), "cohorts": (COHORTS,), "hours": (HOURS,), "weekdays": (WEEKDAYS,)}
"""Lengths of the lists in item statistics, unless they are empty. Older records have three horizons."""
_GROWTH = 1_024
_EXAMPLES = 64
"""Examples in a mini-batch of item embeddings."""
_DIGITS = 9
MAX_CATEGORIES = 1_000
"""Number of categories with charts of their own: those with the most items."""
_NAMES = 50_000
"""Number of categories and topics above which those without an item are dropped from time to time."""


@dataclass(frozen=True, slots=True)
class ItemLabels:
    """Category, topics and source of an item, as the catalog has them."""

    category: str = ""
    topics: tuple[str, ...] = ()
    source: str = ""

    @classmethod
    def of(cls, item: Item) -> ItemLabels:
        """Return the labels of an item of the catalogue."""
        return cls(item.category, tuple(item.topics[:TOPICS_PER_ITEM]), item.source)

    @classmethod
    def of_event(cls, event: Interaction) -> ItemLabels:
        """Return the labels that an event carries for an item outside the catalogue.

        A source beside topics or a category describes the item; one without them says where the user came from.
        """
        context = event.context
        category = first_label(context, "category") or first_label(context, "categories")
        topics = tuple(context_labels(context.get("topics", ""))[:TOPICS_PER_ITEM])
        return cls(category, topics, first_label(context, "source") if category or topics else "")


@dataclass(frozen=True, slots=True)
class TopItems:
    """The leading items of the catalog, best first, as of the last refresh."""

    trending: Indices
    popular: Indices
    fresh: Indices
    without_location: Indices
    """Items without a location: the most popular, then the newest."""
    popular_in: dict[str, Indices]
    """The most popular items of each category."""
    trending_in: dict[str, Indices]
    """The items of each category that trend most."""
    segments: dict[str, Indices]


class CatalogSnapshot:
    """Columns over all items. Ranking considers only items of the catalog."""

    def __init__(
        self,
        *,
        chart_items: int = 200,
        cooccurrence_half_life_days: float = HALF_LIFE_DAYS,
        learns_links: bool = False,
        exact_items: int = EXACT_ITEMS,
        embedding_dim: int = DIMENSIONS,
        encoder: str = NO_ENCODER,
    ) -> None:
        """Start empty.

        Args:
            chart_items: Number of items in a chart.
            cooccurrence_half_life_days: Half-life of the item-item links, in days.
            learns_links: Whether the item-item links are learned here, and not only received.
            exact_items: Size of the catalog above which candidates also come from the content index.
            embedding_dim: Length of an item embedding.
            encoder: Name of the network whose versions are served.
        """
        self._leaders, self._exact_items = chart_items, exact_items
        self.items = Vocabulary()
        self.categories, self.topics, self.kinds = Vocabulary(), Vocabulary(), Vocabulary()
        self.titles: list[str] = []
        self.labels_by_item: dict[str, ItemLabels] = {}
        self.geo_index = GeoIndex()
        self.category, self.kind = np.full(_GROWTH, MISSING, np.int32), np.full(_GROWTH, MISSING, np.int32)
        self.item_topics = np.full((_GROWTH, TOPICS_PER_ITEM), MISSING, np.int32)
        self.item_types = np.zeros(_GROWTH, np.intp)
        """Item types: items with the same category and topics have the same type."""
        self.item_type_index = ItemTypeIndex()
        self.created_at = np.zeros(_GROWTH, np.int64)
        self.spans = np.zeros((_GROWTH, 2), np.int64)
        """Start and end of the event times of items; see `streams.core.ranking.catalog.event_time`."""
        self.tie_breakers = np.zeros(_GROWTH, np.int64)
        """Tie-breaker between equal scores: a hash of the id, so that it depends on nothing else."""
        self.is_listed = np.zeros(_GROWTH, bool)
        """Items of the catalog, which any user may see."""
        self.private = np.zeros(_GROWTH, bool)
        """Items that were fetched for single users, visible only to those users."""
        self.sold_out = np.zeros(_GROWTH, bool)
        self.horizon_logs = np.full((len(HORIZONS), _GROWTH), -np.inf)
        """Logarithms of decayed sums: a row for each of `HORIZONS`."""
        self.segments: dict[str, Scores] = {}
        self._compact_at = _NAMES
        self._strengths: dict[str, float] = {}
        """The highest popularity ever received for each segment."""
        self.evictions: Counter[str] = Counter()
        """Entries dropped or refused for lack of room, by collection."""
        self.cohorts = np.full((_GROWTH, COHORTS), -np.inf)
        self.visit_times = VisitTimes()
        self.rating_sums, self.rating_counts, self.first_at = np.zeros(_GROWTH), np.zeros(_GROWTH), np.zeros(_GROWTH)
        self.own_ratings, self.outcome_counts = np.zeros((_GROWTH, 2)), np.zeros((_GROWTH, 2))
        """Mean rating and number of ratings by the catalogue itself; number of actions that speak for each item, views
        and ratings included, and of those against it."""
        self.neighbors = DecayedCooccurrence(half_life_days=cooccurrence_half_life_days, is_learned=learns_links)
        self.item_weights = ItemItemMatrix()
        self.encoder = EncoderSpaces(encoder)
        self.content_index, self.word_index = ContentIndex(), WordIndex()
        self._new_embeddings(EmbeddingConfig(dimensions=embedding_dim))
        self.repeated_categories: Collection[str] = ()
        """The categories whose items people return to, as learned from the stream."""
        self.watermark = 0
        self.is_stale = False
        """Whether anything has changed since the last refresh."""
        self.charts = self._top_items()
        self._listing: ListedItems | None = None
        """Cached catalog columns; None after a change of the catalog."""
        self.columns = self._columns()

    def apply_item(self, item: Item) -> None:
        """Add or update an item of the catalog."""
        index = self._index(item.item_id)
        topics = [self.topics.add(topic) for topic in item.topics[:TOPICS_PER_ITEM]]
        self.category[index], self.kind[index] = self.categories.add(item.category), self.kinds.add(item.kind)
        self.item_topics[index] = topics + [MISSING] * (TOPICS_PER_ITEM - len(topics))
        self.item_types[index] = self.item_type_index.add(int(self.category[index]), topics)
        self.created_at[index] = item.created_at
        self.spans[index] = validity_window(item.attributes.get(STARTS))
        self.own_ratings[index] = item.rating or 0.0, (item.reviews or 0) if item.rating is not None else 0
        self.titles[index] = item.title
        self.geo_index.put(index, item.cell, item.city)
        self.labels_by_item[item.item_id] = ItemLabels.of(item)
        self.content_index.put(index, item)
        self.word_index.put(index, f"{item.title} {item.description}")
        self.mapped_embeddings.forget(index)
        self.is_listed[index], self.private[index] = not item.private, item.private
        self.sold_out[index] = is_sold_out(item)
        self.is_stale, self._listing = True, None

    def remove_item(self, item_id: str) -> None:
        """Remove an item from the catalog; its history stays."""
        index = self.items.get(item_id)
        if index != MISSING:
            self.is_listed[index] = self.private[index] = self.sold_out[index] = False
            self.content_index.remove(index)
            self.word_index.put(index, "")
            self.is_stale, self._listing = True, None

    def apply_stats(self, stats: ItemStats) -> None:
        """Update the statistics of an item.

        Raises:
            OutOfRangeError: its horizons, cohorts, hours or weekdays differ in number from ours.
        """
        for name, lengths in _LENGTHS.items():
            if len(getattr(stats, name)) not in (0, *lengths):
                raise OutOfRangeError(name, f"must hold {lengths[-1]} numbers")
        index = self._index(stats.item_id)
        self.horizon_logs[_TRENDING, index], self.horizon_logs[_POPULAR, index] = stats.trending, stats.popularity
        for segment, popularity in stats.segments.items():
            column = self._segment(segment, popularity)
            if column is not None:
                column[index] = popularity
        if stats.horizons:
            self.horizon_logs[_RECEIVED_HORIZONS[: len(stats.horizons)], index] = stats.horizons
        if stats.cohorts:
            self.cohorts[index] = stats.cohorts
        if stats.hours and stats.weekdays:
            self.visit_times.put(index, stats.hours, stats.weekdays)
        self.rating_sums[index], self.rating_counts[index] = stats.rating_sum, stats.rating_count
        positive, negative = stats.evidence_for, stats.evidence_against
        if positive is None or negative is None:
            positive, negative = signed_counts(stats.counts)
        self.outcome_counts[index] = stats.rating_count + positive, negative
        self.first_at[index] = stats.first_at
        self.watermark = max(self.watermark, stats.watermark)
        self.is_stale = True

    def forget_stats(self) -> None:
        """Drop the statistics of all items; the catalogue, the links and the weights between items stay."""
        self.horizon_logs.fill(-np.inf)
        self.cohorts.fill(-np.inf)
        self.segments, self._strengths, self.visit_times = {}, {}, VisitTimes()
        for column in (self.rating_sums, self.rating_counts, self.outcome_counts, self.first_at):
            column.fill(0.0)
        self.watermark, self.is_stale = 0, True

    def apply_neighbors(self, row: ItemNeighbors) -> None:
        """Update the co-occurrence links of an item."""
        others = self._indices(row.neighbors)
        sums = np.array([row.scores, row.follows or [0.0] * len(row.scores)])
        index = self._index(row.item_id)
        self.neighbors.put(index, others, sums, event_count=row.mass, reference_ms=row.reference)

    def apply_weights(self, row: ItemWeights) -> None:
        """Update the item weights of an item: the effect of a positive interaction with it on other items."""
        others = self._indices(row.others)
        self.item_weights.put(self._index(row.item_id), others, np.array(row.weights))

    def apply_embedding(self, record: ItemEmbedding) -> None:
        """Update the embedding of an item; one of another space is ignored."""
        vector = stored_vector(record, self.embeddings.config.dimensions)
        if vector is not None:
            index = self._index(record.item_id)
            self.embeddings.put(index, vector, record.bias, event_count=record.event_count)
            self._note_embeddings([index])

    def remove_embedding(self, item_id: str) -> None:
        """Forget the embedding of an item."""
        if (index := self.items.get(item_id)) != MISSING:
            self.embeddings.remove(index)
            self._note_embeddings([index])

    def apply_encoder_vector(self, record: EncoderVector) -> None:
        """Update the vector of an item by a network."""
        self.encoder.put(self._index(record.item_id), record)

    def learn_embedding(self, item: int, context: Indices, weight: float) -> None:
        """Learn from an item that a user acted on after others, in mini-batches.

        Args:
            item: The item.
            context: (m,) the user's items before it, newest first.
            weight: Weight of the event, from 0 to 1.
        """
        self.embeddings.add(item, context, weight)
        if self.embeddings.waiting >= _EXAMPLES:
            self.embeddings.learn()
            self._note_embeddings(self.embeddings.drain(self.embeddings.changed_count))

    def refresh(self) -> bool:
        """Rebuild the charts if anything changed; return whether it did. A large catalog takes several calls."""
        if not self.is_stale:
            return False
        self.charts = self._top_items()
        self.refresh_columns()
        self.is_stale = False
        if self._is_large:
            self.is_stale = self.content_index.catch_up() | self.embedding_index.catch_up()
        is_known = (self.is_listed | self.private)[: len(self.items)]
        self.is_stale |= self.mapped_embeddings.catch_up(is_known, is_busy=self.is_stale)
        return True

    def refresh_columns(self) -> None:
        """Recompute the item features that do not depend on the user."""
        if len(self.categories) + len(self.topics) + len(self.kinds) > self._compact_at:
            self._compact()
        self.columns = self._columns()

    def visible_to(self, prefetched_items: Sequence[str], where: Where = slice(None)) -> NDArray[np.bool_]:
        """Return (items,) whether a user may see each item, in a new array.

        Args:
            prefetched_items: Ids of the items that were prefetched for the user.
            where: The items; all by default.
        """
        listing = self.columns.listing
        is_visible: NDArray[np.bool_] = listing.is_listed[where].copy()
        if prefetched_items:
            own = self.items.encode_known(prefetched_items)
            own = own[own < listing.count]
            is_visible |= marked(own[listing.is_private[own]], where, count=listing.count)
        return is_visible

    def newer_items(self, item_ids: Sequence[str]) -> list[str]:
        """Return the ids of items that are newer than the last refresh."""
        return [item for item in item_ids if not 0 <= self.items.get(item) < self.columns.count]

    def title(self, item_id: str) -> str:
        """Return an item's title; empty if it is unknown."""
        index = self.items.get(item_id)
        return "" if index == MISSING else self.titles[index]

    def labels(self, item_id: str | None) -> ItemLabels | None:
        """Return the labels of an item that is or was in the catalog; None for any other."""
        return self.labels_by_item.get(item_id) if item_id is not None else None

    @property
    def _is_large(self) -> bool:
        """Return whether candidates come from the indexes, too."""
        return len(self.columns.listing.listed_items) > self._exact_items

    def _new_embeddings(self, config: EmbeddingConfig) -> None:
        self.embeddings = ItemEmbeddings(self.items, config)
        self.embedding_index = EmbeddingIndex(self.embeddings)
        self.mapped_embeddings = MappedEmbeddings(self.embeddings, self.content_index, self.embedding_index)

    def _note_embeddings(self, items: Collection[int]) -> None:
        """Have embeddings indexed; what is made once per refresh does not depend on them otherwise."""
        self.mapped_embeddings.count_changes(len(items))
        for item in items:
            self.embedding_index.note(item)
        self.is_stale |= self._is_large

    def _columns(self) -> ItemColumns:
        if self._listing is None:
            self._listing = ListedItems(self)
        return ItemColumns(self, self._listing)

    def _top_items(self) -> TopItems:
        listed_items = np.flatnonzero(self.is_listed[: len(self.items)]).astype(np.int32)
        unlocated_items = listed_items[~np.isin(listed_items, self.geo_index.with_location(len(self.items)))]
        by_category = listed_items[np.argsort(self.category[listed_items], kind="stable")]
        codes, starts = np.unique(self.category[by_category], return_index=True)
        names = [self.categories.names[code] for code in codes.tolist()]
        members = dict(zip(names, np.split(by_category, starts[1:]), strict=bool(names)))
        if len(members) > MAX_CATEGORIES:
            largest = sorted(members, key=lambda name: (-len(members[name]), name))[:MAX_CATEGORIES]
            self.evictions["categories"] = len(members) - MAX_CATEGORIES
            members = {name: members[name] for name in largest}
        return TopItems(
            trending=self._leading(listed_items, self.horizon_logs[_TRENDING]),
            popular=self._leading(listed_items, self.horizon_logs[_POPULAR]),
            fresh=self._leading(listed_items, self.created_at),
            without_location=np.concatenate(
                [
                    self._leading(unlocated_items, self.horizon_logs[_POPULAR]),
                    self._leading(unlocated_items, self.created_at),
                ]
            ),
            popular_in={name: self._leading(items, self.horizon_logs[_POPULAR]) for name, items in members.items()},
            trending_in={name: self._leading(items, self.horizon_logs[_TRENDING]) for name, items in members.items()},
            segments={name: self._leading(listed_items, column) for name, column in self.segments.items()},
        )

    def _compact(self) -> None:
        """Drop the categories, topics and kinds without an item in the catalog, and renumber the others."""
        categories, topics, kinds = (one.names for one in (self.categories, self.topics, self.kinds))
        self.categories, self.topics, self.kinds = Vocabulary(), Vocabulary(), Vocabulary()
        self.item_type_index = ItemTypeIndex()
        count = len(self.items)
        for index in range(count):
            is_listed = bool(self.is_listed[index])
            category = self.categories.add(categories[self.category[index]]) if is_listed else MISSING
            old = self.item_topics[index][self.item_topics[index] != MISSING].tolist() if is_listed else []
            new = [self.topics.add(topics[number]) for number in old]
            self.category[index] = category
            self.kind[index] = self.kinds.add(kinds[self.kind[index]]) if is_listed else MISSING
            self.item_topics[index] = new + [MISSING] * (TOPICS_PER_ITEM - len(new))
            self.item_types[index] = self.item_type_index.add(category, new)
        self._compact_at = max(_NAMES, 2 * (len(self.categories) + len(self.topics) + len(self.kinds)))
        self._listing = None

    def _leading(self, items: Indices, column: NDArray[Any]) -> Indices:
        """Return the best of some items by a column, ties by id; items with no finite value are left out."""
        items = items[np.isfinite(column[items])]
        return items[np.lexsort((self.tie_breakers[items], -column[items].round(_DIGITS)))][: self._leaders]

    def _indices(self, item_ids: Sequence[str]) -> Indices:
        indices = self.items.encode(item_ids)
        for new in np.flatnonzero(indices < 0).tolist():
            indices[new] = self._index(item_ids[new])
        return indices

    def _index(self, item_id: str) -> int:
        index = self.items.add(item_id)
        if index == len(self.titles):
            self._listing = None
            self.titles.append("")
            if index == len(self.category):
                self._grow()
            self.tie_breakers[index] = fingerprint(item_id)
        return index

    def _segment(self, name: str, popularity: float) -> Scores | None:
        """Return the column of a segment; None if all tracked segments are stronger than a new one."""
        column = self.segments.get(name)
        if column is None:
            if len(self.segments) < SEGMENTS:
                column = np.full(len(self.category), -np.inf)
            else:
                self.evictions["segments"] += 1
                weakest = min(self._strengths, key=self._strengths.__getitem__)
                if self._strengths[weakest] >= popularity:
                    return None
                del self._strengths[weakest]
                column = self.segments.pop(weakest)
                column.fill(-np.inf)
            self.segments[name] = column
        self._strengths[name] = max(self._strengths.get(name, -np.inf), popularity)
        return column

    def _grow(self) -> None:
        for name in ("category", "item_topics", "kind"):
            setattr(self, name, _doubled(getattr(self, name), MISSING))
        for name in (
            *("item_types", "created_at", "spans", "tie_breakers", "is_listed", "private", "sold_out"),
            *("rating_sums", "rating_counts", "own_ratings", "outcome_counts", "first_at"),
        ):
            setattr(self, name, _doubled(getattr(self, name), 0))
        self.cohorts = _doubled(self.cohorts, -np.inf)
        self.horizon_logs = _doubled(self.horizon_logs.T, -np.inf).T.copy()
        self.segments = {name: _doubled(column, -np.inf) for name, column in self.segments.items()}


def _doubled(column: NDArray[Any], filler: float) -> NDArray[Any]:
    return np.concatenate([column, np.full_like(column, filler)])
