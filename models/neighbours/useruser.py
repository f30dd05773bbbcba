"""User-user collaborative filtering: items of the nearest users (Herlocker et al., SIGIR 1999).

With the query's history q and the history x_u of user u in n_u events, s_u = q·x_u / (√n_u + shrink), and an item's
score is Σ s_u·x_ui over the nearest users, divided by a power of the item's popularity. Similarities are computed at
query time through an index from each item to its last users: there is no refit, and new users need no special case.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.base import ModelEvent, ModelQuery, Scores
from models.fallback_model import FallbackModel
from models.refitting import confidence, history
from models.vocabulary import MISSING, Vocabulary


class PostingLists:
    """A posting list of numbers and values, bounded to the newest entries."""

    __slots__ = ("_most", "numbers", "values")

    def __init__(self, max_length: int) -> None:
        """Start empty.

        Args:
            max_length: Number of newest entries that are kept, at least.
        """
        self._most = max_length
        self.numbers, self.values = array("i"), array("f")

    def add(self, number: int, value: float) -> None:
        """Append an entry; at twice the bound, drop the older half.

        Args:
            number: Number of the user or item.
            value: Confidence of the event, on [0, 1].
        """
        self.numbers.append(number)
        self.values.append(value)
        if len(self.numbers) >= 2 * self._most:
            del self.numbers[: self._most], self.values[: self._most]


class UserUser(FallbackModel):
    """The users of each item and the items of each user, learned one event at a time."""

    name = "user-user"

    def __init__(
        self,
        *,
        neighbors: int = 100,
        sample_size: int = 1_000,
        max_history: int = 500,
        shrink: float = 2.0,
        damping: float = 0.25,
        position_discount: float = 0.8,
        dislike_confidence: float = 0.5,
    ) -> None:
        """Start empty.

        Args:
            neighbors: Number of users that an item's score is summed over.
            sample_size: Number of newest users of an item that are compared.
            max_history: Number of newest items of a user.
            shrink: Number added to the denominator of the similarity: it lowers similarities with short histories.
            damping: Power of an item's number of events that its sum is divided by; 0 for none.
            position_discount: Discount per step back in the query's history, on (0, 1].
            dislike_confidence: Confidence of an event that is not positive, on [0, 1]; a click has 1.
        """
        super().__init__()
        self._neighbors, self._sample_size, self._longest = neighbors, sample_size, max_history
        self._shrink, self._damping, self._position_discount, self._dislike_confidence = (
            shrink,
            damping,
            position_discount,
            dislike_confidence,
        )
        self._users = Vocabulary()
        self._counts = array("i")
        self._item_counts = array("i")
        self._of_user: list[PostingLists] = []
        self._of_item: list[PostingLists] = []

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Append each event to the posting lists of its user and its item."""
        for event in events:
            self._fallback.learn([event])
            user, item = self._users.add(event.user_id), self.items.get(event.item_id)
            if user == len(self._of_user):
                self._of_user.append(PostingLists(self._longest))
                self._counts.append(0)
            if item == len(self._of_item):
                self._of_item.append(PostingLists(self._sample_size))
                self._item_counts.append(0)
            value = confidence(event.weight, dislike_confidence=self._dislike_confidence)
            self._of_user[user].add(item, value)
            self._of_item[item].add(user, value)
            self._counts[user] += 1
            self._item_counts[item] += 1

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the weighted sums over the nearest users, or None without any."""
        near, similar = self._near(query)
        if not len(near):
            return None
        posts = [self._of_user[user] for user in near.tolist()]
        items = np.concatenate([np.array(post.numbers, np.int32) for post in posts])
        values = np.concatenate([np.array(post.values, np.float32) for post in posts])
        weight = values * np.repeat(similar, [len(post.numbers) for post in posts])
        sums = np.bincount(items, weight, minlength=len(self.items)).astype(np.float64)
        scores: Scores = sums / np.array(self._item_counts, np.float64) ** self._damping
        scores[scores == 0.0] = -np.inf
        return scores

    def _near(self, query: ModelQuery) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the nearest users of a query, and their similarities."""
        dots = np.zeros(len(self._users))
        for item, value in history(
            query, self.items, position_discount=self._position_discount, dislike_confidence=self._dislike_confidence
        ).items():
            posts = self._of_item[item]
            np.add.at(dots, np.array(posts.numbers, np.int32), np.array(posts.values, np.float64) * value)
        own = self._users.get(query.user_id)
        if own != MISSING:
            dots[own] = 0.0
        users = np.flatnonzero(dots)
        similar = dots[users] / (np.sqrt(np.array(self._counts, np.float64)[users]) + self._shrink)
        if len(users) > self._neighbors:
            best = np.argpartition(similar, len(users) - self._neighbors)[len(users) - self._neighbors :]
            users, similar = users[best], similar[best]
        return users, similar
