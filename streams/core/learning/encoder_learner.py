"""Encoder learner: a network that learns beside the stream, and is judged, test then learn, against its incumbent.

Before the network learns from a batch of events, outcomes in it are ranked: the item of a positive event among all
items, for its user by the items before it, as a worker would serve the user. The incumbent is the version in service,
or popularity while none is. An item that the user has acted on lately is no outcome: going back to an item needs no
network. Of a large batch some outcomes are ranked, evenly.

Memory is bounded by the number of events that are kept. When the tables of the network have grown to several times
that, those of items and users without a kept event are dropped.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import ModelEvent, ModelQuery, Scores
from models.blend.fallback import LISTED
from models.blend.feature_matrix import rank_of
from models.encoders.encoded_items import EncodedItems
from models.encoders.user_encoder import Arrays, EncoderExport, EncoderModel
from models.vocabulary import Vocabulary
from models.weight import is_positive
from streams.core.learning.rank_accumulator import MIN_OUTCOMES, RankAccumulator
from streams.core.ranking.ranking_query import DISLIKED

_HISTORY = 30
"""Last items of a user by which outcomes are ranked."""
_USERS = 20_000
"""Users whose outcomes are ranked: those active last."""
_OUTCOMES = 32
"""Outcomes of a batch that are ranked, about: each costs a ranking of all items by both."""
_GROWTH = 3
"""Number of items and users in the tables of the network, relative to that of kept events, at which they are cut."""


@dataclass(frozen=True, slots=True)
class EncoderDecision:
    """The result of judging a network, with its reason."""

    is_better: bool
    reason: str
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A positive event, and the items before it."""

    item_id: str
    history: tuple[tuple[str, float], ...]
    """Items and weights, newest first."""


class EncoderLearner:
    """A network with its newest events."""

    def __init__(self, build: Callable[[], EncoderModel], *, events: int) -> None:
        """Start untrained.

        Args:
            build: Creates the network.
            events: Number of newest events to keep.
        """
        self._build = build
        self.model = build()
        self.watermark = 0
        """Time of the newest event, in ms since the epoch."""
        self.learned_count = 0
        """Number of events learned from since the start."""
        self.ranks = RankAccumulator()
        """Ranks since the last decision."""
        self._events: deque[ModelEvent] = deque(maxlen=events)
        self._histories: OrderedDict[str, deque[tuple[str, float]]] = OrderedDict()
        self._incumbent: tuple[EncodedItems, Vocabulary] | None = None

    def start_from(self, items: Sequence[str], state: Arrays) -> None:
        """Start anew from the state of a network; an empty state is that of an untrained one.

        Args:
            items: Ids of the items in its tables.
            state: The state.

        Raises:
            KeyError, RuntimeError: the state is that of another network, and nothing has changed.
        """
        model = self._build()
        if state:
            model.restore(items, state)
        model.add(list(self._events))
        self.model = model

    def serve(self, items: EncodedItems, names: Vocabulary) -> None:
        """Judge against a version from now on.

        Args:
            items: The items of the version.
            names: Their ids by number.
        """
        self._incumbent = items, names
        self.ranks = RankAccumulator()

    def add(self, events: Sequence[ModelEvent]) -> None:
        """Keep events that the network has learned from before."""
        for event in events:
            self._remember(event)
        self.model.add(events)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Rank outcomes, then learn from a batch of events, in one fit at most."""
        stride = max(len(events) // _OUTCOMES, 1)
        outcomes: list[_Outcome] = []
        number = 0
        for event in events:
            outcome = self._outcome(event)
            if outcome is not None:
                if number % stride == 0:
                    outcomes.append(outcome)
                number += 1
            self._remember(event)
        if outcomes and self.model.fits:
            self._rank(outcomes)
        self.model.add(events)
        self.model.fit_if_due()
        self.learned_count += len(events)
        if self.model.size > _GROWTH * (self._events.maxlen or 0):
            self._cut()

    def decision(self) -> EncoderDecision | None:
        """Return whether the network ranks better than its incumbent; None with too few outcomes since the last one.

        It has to be better by more than the standard error of the difference, which is paired by outcome.
        """
        if self.ranks.outcomes < MIN_OUTCOMES:
            return None
        (own, incumbent), (delta, error) = self.ranks.ndcg(), self.ranks.ndcg_delta()
        name = "popularity" if self._incumbent is None else "the version in service"
        summary = f"NDCG@{LISTED} {own:.4f} against {incumbent:.4f} of {name}, on {self.ranks.outcomes:,} outcomes"
        metrics = {"ndcg@10": own, "serving_ndcg@10": incumbent, "outcomes": float(self.ranks.outcomes)}
        self.ranks = RankAccumulator()
        return EncoderDecision(delta > error, summary if delta > error else f"not better: {summary}", metrics)

    def export(self) -> tuple[EncoderExport, dict[str, NDArray[Any]]]:
        """Return the network as it is served, and the state that learning can go on from."""
        return self.model.export(), dict(self.model.state())

    def _outcome(self, event: ModelEvent) -> _Outcome | None:
        """Return the outcome of an event; None if it is none."""
        history = self._histories.get(event.user_id)
        if not history or not is_positive(event.weight) or any(item_id == event.item_id for item_id, _ in history):
            return None
        return _Outcome(event.item_id, tuple(reversed(history)))

    def _remember(self, event: ModelEvent) -> None:
        self._events.append(event)
        self.watermark = max(self.watermark, event.at_ms)
        history = self._histories.pop(event.user_id, None) or deque(maxlen=_HISTORY)
        if event.weight > DISLIKED:
            history.append((event.item_id, event.weight))
        self._histories[event.user_id] = history
        if len(self._histories) > _USERS:
            self._histories.popitem(last=False)

    def _rank(self, outcomes: Sequence[_Outcome]) -> None:
        """Rank outcomes by the network and by the incumbent."""
        popularity, *rows = self.model.scores(
            [ModelQuery(""), *(ModelQuery("", outcome.history) for outcome in outcomes)]
        )
        for outcome, row in zip(outcomes, rows, strict=True):
            own = _rank_of(row, self.model.items, outcome)
            scores, names = popularity, self.model.items
            if self._incumbent is not None:
                items, names = self._incumbent
                history = [(number, weight) for item, weight in outcome.history if (number := names.get(item)) >= 0]
                numbers = np.array([number for number, _ in history], np.int32)
                user = items.user(numbers, np.array([weight for _, weight in history], np.float32))
                if user is None:
                    names = self.model.items
                else:
                    scores = items.scores(user, slice(None), count=len(names)).astype(np.float64)
            self.ranks.add(own, _rank_of(scores, names, outcome))

    def _cut(self) -> None:
        """Go on with the items and users of the kept events alone."""
        model, state = self.model, self.model.state()
        kept_items = list(dict.fromkeys(event.item_id for event in self._events))
        rows_by_item = {item_id: row for row, item_id in enumerate(model.items.names)}
        tables = {name: array for name, array in state.items() if name in model.item_tables}
        count = min(map(len, tables.values()), default=0)
        kept_items = [item_id for item_id in kept_items if rows_by_item[item_id] < count]
        rows = np.array([rows_by_item[item_id] for item_id in kept_items], np.intp)
        self.start_from(kept_items, dict(state) | {name: array[rows] for name, array in tables.items()})


def _rank_of(scores: Scores, names: Vocabulary, outcome: _Outcome) -> float:
    """Return the rank of the item of an outcome among those that the user has not acted on lately, from 1."""
    index = names.get(outcome.item_id)
    if not 0 <= index < len(scores) or not np.isfinite(scores[index]):
        return math.inf
    scores = scores.copy()
    scores[names.encode_known(item_id for item_id, _ in outcome.history)] = -np.inf
    return rank_of(scores.astype(np.float32), index)
