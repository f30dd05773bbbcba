"""Feedback on contested places of feeds, for epsilon-greedy exploration with another epsilon.

Outcomes carry the propensity of the item shown, and not those of the items that lost the place. Under epsilon-greedy
the propensity and epsilon tell all that another epsilon needs:

    1 - epsilon                     the item in place, which has the highest mean
    epsilon / n                     one of n new items, drawn at random
    1 - epsilon + epsilon / n       one of n new items, which has the highest mean

Of other changes the outcomes tell nothing. Where a new item has the highest mean, the item in place is never shown, so
there is no evidence for a feed without exploration. Under Thompson sampling nothing tells the item in place from the
new ones. Upper confidence bounds draw nothing.

The baseline of the doubly robust estimators is the mean reward of a place, and of the places from it on. It is the same
for all items, so that its expectation is exact under any policy. It comes from the outcomes of the other half of the
users.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.off_policy.cascade import ListFeedback
from evaluation.off_policy.estimators import Feedback, FeedbackError, Rounds
from schemas.types import Outcome
from streams.core.dedup import fingerprint

POLICY = "epsilon-greedy"
"""The policy whose outcomes tell of another epsilon."""
REWARDS = ("clicks", "likes", "conversions")
"""Actions that count as a reward: 1 for an item with any."""
MAX_OUTCOMES = 2_000_000
"""Outcomes in memory, at some 300 bytes each."""
_MAX_COMPETITORS = 6
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class EpsilonChange:
    """The epsilon that was logged, and another one to evaluate."""

    logged: float  # wire
    """EPSILON of the log, below a half: then the probabilities of items in place and of new items differ."""
    target: float
    """The EPSILON in question, from 0 to 1."""

    def targets(self, propensities: Rounds) -> Rounds:
        """Return (n,) the probabilities of the items shown under the epsilon in question.

        Args:
            propensities: (n,) their probabilities under that of the log; 1 where nothing is contested.

        Raises:
            FeedbackError: the epsilon of the log gives no such propensity.

        >>> EpsilonChange(0.1, 0.3).targets(np.array([1.0, 0.9, 0.05])).round(3).tolist()
        [1.0, 0.7, 0.15]
        """
        if not 0 < self.logged < 0.5:
            raise FeedbackError(
                "EPSILON of the log must be above 0 and below 0.5, to tell items in place from new ones"
            )
        targets = np.full(len(propensities), np.nan)
        for before, after in self._probabilities():
            targets[np.abs(propensities - before) < _TOLERANCE] = after
        unknown = propensities[np.isnan(targets)]
        if len(unknown):
            raise FeedbackError(
                f"EPSILON={self.logged:g} does not give the propensities of {len(unknown):,} outcomes, such as"
                f" {unknown[0]:.4g}"
            )
        return targets

    def _probabilities(self) -> Iterator[tuple[float, float]]:
        """Yield the probabilities that an item may have, each under both epsilons."""
        yield 1.0, 1.0
        yield 1.0 - self.logged, 1.0 - self.target
        for count in range(1, _MAX_COMPETITORS + 1):
            yield self.logged / count, self.target / count
            yield 1.0 - self.logged + self.logged / count, 1.0 - self.target + self.target / count


@dataclass(slots=True)
class OutcomeLog:
    """The newest outcomes of feeds under `POLICY`, by id."""

    reward: str
    """One of `REWARDS`."""
    other_counts: dict[str, int] = field(default_factory=dict)
    """Records with a propensity below 1 of other policies, by policy."""
    _rows: dict[str, tuple[str, int, float, float]] = field(default_factory=dict)
    """User, place, propensity and reward by the id of the outcome."""

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Take outcomes in the order of the topic; a later one replaces that of the same id.

        Raises:
            FeedbackError: there are more than `MAX_OUTCOMES`.
        """
        for one in outcomes:
            if one.propensity is None or not 0 < one.propensity <= 1:
                continue
            if one.policy != POLICY:
                if one.propensity < 1:
                    self.other_counts[one.policy] = self.other_counts.get(one.policy, 0) + 1
                continue
            reward = float(getattr(one, self.reward) > 0)
            self._rows[one.outcome_id] = (one.user_id, one.place, one.propensity, reward)
            if len(self._rows) > MAX_OUTCOMES:
                raise FeedbackError(f"there are more than {MAX_OUTCOMES:,} outcomes")

    @property
    def has_contested_places(self) -> bool:
        """Return whether any outcome has a propensity below 1."""
        return any(propensity < 1 for _, _, propensity, _ in self._rows.values())

    def feedback(self, change: EpsilonChange) -> tuple[Feedback, ListFeedback]:
        """Return the feedback on contested places, and that on the lists that have any.

        Args:
            change: The epsilon that was logged, and the one to evaluate.

        Raises:
            FeedbackError: the epsilon of the log gives no such propensities, or no place is contested.
        """
        lists: dict[str, list[tuple[str, int, float, float]]] = {}
        for outcome_id, row in self._rows.items():
            lists.setdefault(outcome_id.rpartition(":")[0], []).append(row)
        shown_lists = [sorted(rows, key=lambda row: row[1]) for rows in lists.values()]
        shown_lists = [rows for rows in shown_lists if any(row[2] < 1 for row in rows)]
        if not shown_lists:
            raise FeedbackError("no outcome has a propensity below 1")
        shape = len(shown_lists), max(map(len, shown_lists))
        places, rewards, propensities = np.zeros(shape, np.intp), np.zeros(shape), np.ones(shape)
        for index, rows in enumerate(shown_lists):
            places[index, : len(rows)] = [row[1] for row in rows]
            propensities[index, : len(rows)] = [row[2] for row in rows]
            rewards[index, : len(rows)] = [row[3] for row in rows]
        names = [rows[0][0] for rows in shown_lists]
        users = np.unique(names, return_inverse=True)[1]
        halves = np.array([fingerprint(name) % 2 for name in names], np.intp)
        targets = change.targets(propensities.ravel()).reshape(shape)
        is_contested = propensities < 1
        from_place = rewards[:, ::-1].cumsum(axis=1)[:, ::-1]
        later = _baselines(from_place, places, halves, is_contested)
        place = _baselines(rewards, places, halves, is_contested)[is_contested]
        columns = (rewards[is_contested], propensities[is_contested], targets[is_contested], place, place)
        feedback = Feedback(np.repeat(users, is_contested.sum(axis=1)), *columns)
        return feedback, ListFeedback(users, rewards, propensities, targets, later, later)


def _baselines(
    values: Rounds, places: NDArray[np.intp], halves: NDArray[np.intp], is_contested: NDArray[np.bool_]
) -> Rounds:
    """Return (lists, places) the mean value of each contested place among the users of the other half; 0 elsewhere.

    Args:
        values: (lists, places) values.
        places: (lists, places) the places.
        halves: (lists,) the half of each list's user, 0 or 1.
        is_contested: (lists, places) whether a place is contested.
    """
    numbers = np.unique(places[is_contested], return_inverse=True)[1]
    own_half = np.broadcast_to(halves[:, None], places.shape)[is_contested]
    size = int(numbers.max()) + 1
    counts = np.bincount(own_half * size + numbers, minlength=2 * size)
    sums = np.bincount(own_half * size + numbers, values[is_contested], minlength=2 * size)
    baselines = np.zeros(places.shape)
    baselines[is_contested] = (sums / np.maximum(counts, 1))[(1 - own_half) * size + numbers]
    return baselines
