"""Beyond-accuracy metrics of lists: coverage, novelty, diversity, serendipity and popularity bias.

Each list counts once per test event. Popularity and item similarity come from the events before the evaluated split.

coverage     share of the items of the stream in any top 10
novelty      mean self-information of the listed items, -log2 of their share of events (add-one smoothing)
diversity    one minus the mean similarity of two items of a list: Jaccard over topics and category where items differ
             in them, otherwise the cosine of the sets of users who acted on them
serendipity  mean over the test events of relevance times unexpectedness (Kotkov et al. 2016): one minus the mean
             similarity of the chosen item to the user's earlier ones if it is in the top 10, otherwise 0
popularity   mean events of the listed items over those of the chosen items; 1 is no bias
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.ranking import K
from evaluation.protocols.replay import ReplayOutcome
from evaluation.protocols.stream import Stream

_LISTS = 1_000
"""Number of evenly spaced lists in the diversity, and of choices in the serendipity."""
METRICS = ("coverage", "novelty", "diversity", "serendipity", "popularity")

Lists = NDArray[np.int32]
Traits = dict[int, frozenset[object]]


class BeyondAccuracy:
    """Beyond-accuracy metrics relative to the events before a split."""

    def __init__(self, stream: Stream, start: int) -> None:
        self._stream, self._start = stream, start
        self._events = np.bincount(stream.item[:start], minlength=len(stream.items)).astype(np.float64)

    def of(self, outcome: ReplayOutcome) -> dict[str, float]:
        """Return the five metrics of an outcome's lists."""
        lists = outcome.top[outcome.list_index]
        if not len(lists):
            return dict.fromkeys(METRICS, float("nan"))
        list_items = lists[lists >= 0]
        information = -np.log2((self._events + 1) / (self._events.sum() + len(self._events)))
        target_popularity = self._events[self._stream.item[outcome.event_index]].mean()
        return {
            "coverage": len(np.unique(list_items)) / len(self._stream.items),
            "novelty": float(information[list_items].mean()),
            "diversity": self._diversity(outcome.top),
            "serendipity": self._serendipity(outcome),
            "popularity": float(self._events[list_items].mean() / target_popularity)
            if target_popularity
            else float("nan"),
        }

    @cached_property
    def similarity(self) -> str:
        """Return the basis of the item similarity: topics or users."""
        return "topics" if len(set(self._topics.values())) > 1 else "users"

    @cached_property
    def _topics(self) -> Traits:
        numbers = {item: number for number, item in enumerate(self._stream.items)}
        return {
            numbers[item.item_id]: frozenset((item.category, *item.topics))
            for item in self._stream.catalogue
            if item.item_id in numbers
        }

    @cached_property
    def _users(self) -> Traits:
        users: dict[int, set[object]] = defaultdict(set)
        for user, item in zip(
            self._stream.user[: self._start].tolist(), self._stream.item[: self._start].tolist(), strict=True
        ):
            users[item].add(user)
        return {item: frozenset(user_set) for item, user_set in users.items()}

    def _serendipity(self, outcome: ReplayOutcome) -> float:
        """Return the mean of relevance times unexpectedness; nothing is unexpected without a history."""
        hits = outcome.event_index[outcome.rank <= K]
        sample = hits[:: max(1, len(hits) // _LISTS)].tolist()
        share = len(hits) / len(outcome.event_index)
        return share * float(np.mean([self._unexpectedness(event_index) for event_index in sample])) if sample else 0.0

    def _unexpectedness(self, event_index: int) -> float:
        """Return one minus the mean similarity of an event's item to the user's earlier items; 0 without any."""
        user, item = self._stream.user, int(self._stream.item[event_index])
        earlier = np.unique(self._stream.item[:event_index][user[:event_index] == user[event_index]]).tolist()
        return 1.0 - float(np.mean([self._similarity(item, other) for other in earlier])) if earlier else 0.0

    def _diversity(self, top: Lists) -> float:
        similarities: dict[tuple[int, int], float] = {}
        sums: list[float] = []
        for row in top[:: max(1, len(top) // _LISTS)].tolist():
            pairs = list(combinations(sorted(item for item in row if item >= 0), 2))
            for pair in pairs:
                if pair not in similarities:
                    similarities[pair] = self._similarity(*pair)
            if pairs:
                sums.append(sum(similarities[pair] for pair in pairs) / len(pairs))
        return 1.0 - float(np.mean(sums)) if sums else float("nan")

    def _similarity(self, one: int, other: int) -> float:
        traits = self._topics if self.similarity == "topics" else self._users
        one_traits, other_traits = traits.get(one, frozenset()), traits.get(other, frozenset())
        if not one_traits or not other_traits:
            return 0.0
        both = len(one_traits & other_traits)
        if self.similarity == "topics":
            return both / len(one_traits | other_traits)
        return float(both / np.sqrt(len(one_traits) * len(other_traits)))
