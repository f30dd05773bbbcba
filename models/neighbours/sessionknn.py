"""Session kNN: items of the most similar recent sessions.

As in VMIS-kNN (Kersbergen, Sprangers and Schelter, SIGMOD 2022), an index maps each item to its most recent sessions.
As in STAN (Garg et al., SIGIR 2019), there are three decays: of the query's items by steps back, of sessions by age,
and of a session's items by distance from the item shared with the query. The first and the last are power laws, which
suit both short and long sessions better than STAN's exponentials. The sum is divided by a power of item popularity.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import HOUR_MS
from models import decay
from models.base import ModelEvent, ModelQuery, Scores
from models.fallback_model import FallbackModel
from models.refitting import confidence, history

QUERY_ITEMS = 30


class SessionKnn(FallbackModel):
    """The most recent sessions of each item, learned one event at a time.

    A session ends after `gap_hours` without an event, or at `max_session_events` events. The `max_sessions` newest
    sessions are stored, and the index of each item holds the sessions of its last `sample_size` events.
    """

    name = "session-knn"

    def __init__(
        self,
        *,
        neighbors: int = 200,
        sample_size: int = 500,
        max_sessions: int = 100_000,
        max_session_events: int = 50,
        gap_hours: float = 24.0,
        position_decay: float = 0.8,
        half_life_days: float = 1_000.0,
        distance_decay: float = 0.6,
        dislike_confidence: float = 0.5,
        damping: float = 0.15,
    ) -> None:
        """Start empty.

        Args:
            neighbors: Number of sessions that an item's score is summed over.
            sample_size: Number of newest events of an item whose sessions are compared.
            max_sessions: Number of stored sessions; the oldest are overwritten.
            max_session_events: Events after which a session ends.
            gap_hours: Time without an event after which a session ends, in hours.
            position_decay: Exponent of the power law over steps back in the query.
            half_life_days: Half-life of a session's weight, in days.
            distance_decay: Exponent of the power law over the distance from the shared item in a session.
            dislike_confidence: Confidence of an event that is not positive, on [0, 1]; a click has 1.
            damping: Power of an item's number of events that its sum is divided by; 0 for none.
        """
        super().__init__()
        self._neighbors, self._sample_size, self._dislike_confidence = neighbors, sample_size, dislike_confidence
        self._gap_ms, self._back, self._apart = gap_hours * HOUR_MS, position_decay, distance_decay
        self._damping = damping
        self._event_counts = array("i")
        self._rate = decay.rate_of_half_life(half_life_days)
        self._open: dict[str, int] = {}
        self._next = 0
        self._item = np.zeros((max_sessions, max_session_events), np.int32)
        """(session, position): item number plus one; 0 after the end of a session."""
        self._value = np.zeros((max_sessions, max_session_events), np.float32)
        self._length = np.zeros(max_sessions, np.int32)
        self._last_ms = np.zeros(max_sessions, np.int64)
        self._owner = [""] * max_sessions
        self._sessions: list[array[int]] = []
        self._positions: list[array[int]] = []
        self._match = np.zeros(max_sessions, np.int32)
        self._dot = np.zeros(max_sessions)
        self._mark = np.zeros(max_sessions, np.int32)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Append each event to its user's session, and the session to the item's index."""
        for event in events:
            self._fallback.learn([event])
            item = self.items.get(event.item_id)
            if item == len(self._sessions):
                self._sessions.append(array("i"))
                self._positions.append(array("i"))
                self._event_counts.append(0)
            self._event_counts[item] += 1
            session = self._session(event)
            position = int(self._length[session])
            self._item[session, position] = item + 1
            self._value[session, position] = confidence(event.weight, dislike_confidence=self._dislike_confidence)
            self._length[session] = position + 1
            self._last_ms[session] = event.at_ms
            for column, number in ((self._sessions[item], session), (self._positions[item], position)):
                column.append(number)
                if len(column) >= 2 * self._sample_size:
                    del column[: self._sample_size]

    def _session(self, event: ModelEvent) -> int:
        session = self._open.get(event.user_id)
        if (
            session is not None
            and self._owner[session] == event.user_id
            and self._length[session] < self._item.shape[1]
            and event.at_ms - self._last_ms[session] <= self._gap_ms
        ):
            return session
        session, self._next = self._next, (self._next + 1) % len(self._length)
        former = self._owner[session]
        if self._open.get(former) == session:
            del self._open[former]
        self._owner[session] = event.user_id
        self._open[event.user_id] = session
        self._item[session], self._value[session], self._length[session] = 0, 0.0, 0
        return session

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the weighted sums over the most similar sessions, or None without any."""
        near, similar = self._near(query)
        if not len(near):
            return None
        items = self._item[near]  # (K, longest)
        positions = np.arange(items.shape[1])
        distance = 1.0 + np.abs(positions - self._match[near, None])
        weight = self._value[near] * similar[:, None] / distance**self._apart
        sums = np.bincount(items.ravel(), weight.ravel(), minlength=len(self.items) + 1)[1:].astype(np.float64)
        scores: Scores = sums / np.array(self._event_counts, np.float64) ** self._damping
        scores[scores == 0.0] = -np.inf
        return scores

    def _near(self, query: ModelQuery) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the nearest sessions and their similarities; `_match` gets the position of the newest shared item."""
        session_chunks, shared_weights, positions = [], [], []
        query_items = history(query, self.items, position_discount=1.0, dislike_confidence=self._dislike_confidence)
        for back, (item, value) in enumerate(islice(query_items.items(), QUERY_ITEMS), start=1):
            sessions = np.array(self._sessions[item][-self._sample_size :], np.int64)
            at = np.array(self._positions[item][-self._sample_size :], np.int32)
            live = self._item[sessions, at] == item + 1  # the others were overwritten
            session_chunks.append(sessions[live])
            positions.append(at[live])
            shared_weights.append(np.full(len(session_chunks[-1]), value / back**self._back))
        if not session_chunks:
            return np.empty(0, np.int64), np.empty(0)
        sessions, at = np.concatenate(session_chunks[::-1]), np.concatenate(positions[::-1])
        self._match[sessions] = at  # the newest item comes last and stays
        np.add.at(self._dot, sessions, np.concatenate(shared_weights[::-1]))
        self._mark[sessions] = np.arange(len(sessions))
        unique = sessions[self._mark[sessions] == np.arange(len(sessions))]
        similar = self._dot[unique] / np.sqrt(self._length[unique])
        self._dot[sessions] = 0.0
        newest = self._last_ms[unique].max(initial=0)
        similar = similar * np.exp((self._last_ms[unique] - newest) * self._rate)
        if len(unique) > self._neighbors:
            best = np.argpartition(similar, len(unique) - self._neighbors)[len(unique) - self._neighbors :]
            unique, similar = unique[best], similar[best]
        return unique[similar > 0], similar[similar > 0]
