"""Recording of outcomes: users' actions are held against the feeds that they were shown."""

from __future__ import annotations

from collections.abc import Callable

from infra.kafka.publisher import Publisher
from infra.redis.metrics.online_metrics_store import INTERVAL_MS
from models.weight import event_weight, is_positive
from schemas.types import Interaction
from streams.core.learning.choices import choice_record
from streams.core.ranking.online_evaluation import OnlineEvaluation
from streams.core.ranking.pipeline import RankedFeed
from streams.core.ranking.served_feeds import ServedFeed, ServedFeeds
from topics.topic import CHOICES

MAX_CHOICES_PER_S = 100
"""Choices published per second by a process, at some 5 KB each. The weights need no more."""


class OutcomeRecorder:
    """Keeps the feeds of the users of a process, evaluates them by the next actions, and publishes the choices."""

    def __init__(self, publisher: Publisher, *, rating_scale: float, now_ms: Callable[[], int]) -> None:
        """Create the recorder.

        Args:
            publisher: Publishes the choices.
            rating_scale: The highest rating.
            now_ms: The clock, in ms since the epoch.
        """
        self._publisher, self._rating_scale, self._now_ms = publisher, rating_scale, now_ms
        self._feeds = ServedFeeds()
        self._second, self._choices = 0, 0
        self.evaluation = OnlineEvaluation(interval_ms=INTERVAL_MS)
        """Figures of the feeds and their outcomes."""

    def show(self, ranked_feed: RankedFeed) -> None:
        """Take a user's new feed."""
        self.evaluation.show(ranked_feed.feed)
        self._feeds.put(ranked_feed.feed.user_id, ServedFeed.of(ranked_feed.feed, ranked_feed.choice_set))

    def show_newcomers(self, ranked_feed: RankedFeed) -> None:
        """Take the default feed."""
        self._feeds.put_default(ServedFeed.of(ranked_feed.feed, ranked_feed.choice_set))

    def act(self, event: Interaction, *, share: float) -> None:
        """Record an action on an item that has just been folded.

        Args:
            event: The action.
            share: Its weight in what all users share, from 0 to 1.
        """
        if event.item_id is None:
            return
        weight = event_weight(event, self._rating_scale)
        outcome = self._feeds.act(
            event.user_id, event.item_id, at_ms=event.occurred_at, is_positive=is_positive(weight)
        )
        if outcome is None:
            return
        self.evaluation.add(outcome, at_ms=event.occurred_at)
        if self._has_capacity():
            choice = choice_record(outcome, event, share=share)
            if choice is not None:
                self._publisher.produce(CHOICES, choice)

    def forget_user(self, user_id: str) -> None:
        """Forget the feed of a user."""
        self._feeds.forget_user(user_id)

    def forget(self) -> None:
        """Forget the feeds: after a rebalance another process ranks their users. The figures stay."""
        self._feeds.forget()

    def _has_capacity(self) -> bool:
        """Count a choice, and return whether it is among those that are published this second."""
        second = self._now_ms() // 1_000
        if second != self._second:
            self._second, self._choices = second, 0
        self._choices += 1
        return self._choices <= MAX_CHOICES_PER_S
