"""Replay of a stream through a model by the steps of a protocol, with the outcome of each test event.

A cold-start replay measures the benefit of each further known event. A fifth of the users, a different one for each of
five seeds, is held out: models never learn from them, and rank each of their test events once for every history length.
Users, events and candidate items are the same for every length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.as_served import ServingDelays
from evaluation.protocols.history import Histories
from evaluation.protocols.protocol import PROTOCOLS, Protocol
from evaluation.protocols.ranking import ItemRanking, K
from evaluation.protocols.split import Split
from evaluation.protocols.step import Indices, Learn, Observe, Rank, Train
from evaluation.protocols.stream import Stream
from models.base import Model, ModelEvent, ModelQuery

EVERYTHING = np.iinfo(np.int32).max
KNOWN = (0, 1, 2, 3, 5, 10, EVERYTHING)
"""History lengths of held-out users in a cold-start replay."""
GROUPS = 5
"""Number of groups of users, one of which is held out."""
_EARLIER = 10
"""Least number of earlier events of a held-out user's test event."""
_HELD = 3
"""Stream of random numbers for the choice of held-out users."""
_TELL_EVERY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOutcome:
    """Columns with one entry per test event, in the order of ranking; `top` has one row per list."""

    event_index: NDArray[np.int32]
    rank: NDArray[np.int32]
    case: NDArray[np.int32]
    """Case of the event; a case has one list and one or more relevant items."""
    list_index: NDArray[np.int32]
    """Row of the event's list in `top`."""
    earlier: NDArray[np.int32]
    """Number of the user's earlier events."""
    gap_ms: NDArray[np.int64]
    """Time since the last of them in ms, or -1."""
    known_count: NDArray[np.int32]
    """Bound on the number of the user's last events in the query."""
    top: NDArray[np.int32]
    learn_us: float
    """Mean time to learn one event, in µs."""
    rank_us: float
    """Mean time to score all items for one list, in µs."""


def replay(
    model: Model,
    stream: Stream,
    protocol: str,
    *,
    split: Split = "test",
    seed: int = 0,
    cold: bool = False,
    delays: ServingDelays | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
) -> ReplayOutcome:
    """Replay a stream through a model.

    Args:
        model: An untrained model.
        stream: The stream to replay, as the protocol prepares it.
        protocol: Name of the protocol, one of PROTOCOLS.
        split: The split to rank.
        seed: Seed of ties and of the held-out users.
        cold: Whether users are held out.
        delays: Delays of the feeds, for a protocol that is served; those of the default settings if None.
        on_progress: Called with the number of replayed events.
    """
    definition = PROTOCOLS[protocol]
    run = (_Cold if cold else _Run)(model, stream, definition, seed=seed)
    steps = partial(definition.steps, delays=delays or ServingDelays()) if definition.is_served else definition.steps
    for number, step in enumerate(steps(stream, split)):
        match step:
            case Rank():
                run.rank(step)
            case Learn(indices):
                run.train(indices)
                run.observe(indices)
            case Train(indices):
                run.train(indices)
            case Observe(indices):
                run.observe(indices)
        if number % _TELL_EVERY == 0:
            on_progress(run.behind)
    on_progress(run.behind)
    return run.outcome()


class _Run:
    def __init__(self, model: Model, stream: Stream, protocol: Protocol, *, seed: int) -> None:
        self.behind = 0
        self._model, self._stream, self._protocol = model, stream, protocol
        self._histories = Histories(stream)
        self._ranking = ItemRanking(stream, model.items, seed=seed)
        self._rows: list[tuple[int, ...]] = []
        self._tops: list[NDArray[np.int32]] = []
        self._cases = self._learned_count = 0
        self._learn_s = self._rank_s = 0.0

    def train(self, indices: Indices) -> None:
        """Have the model learn events."""
        self._teach(list(self._events(indices)))

    def observe(self, indices: Indices) -> None:
        """Continue the histories of users with events."""
        for event_index, event in zip(indices.tolist(), self._events(indices), strict=True):
            self._histories.add(event_index, event)
        self.behind += len(indices)

    def rank(self, step: Rank) -> None:
        user = int(self._stream.user[step.targets[0]])
        if self._protocol.has_live_histories:
            query = self._histories.history_query(
                user, step.at_ms, known_count=EVERYTHING, read_at_ms=step.chosen_at_ms
            )
        else:
            query = self._histories.query(user, step.at_ms)
        self._rank_targets(step, user, query, known_count=EVERYTHING)

    def outcome(self) -> ReplayOutcome:
        rows = np.array(self._rows, np.int64).reshape(-1, 7)
        event_index, rank, case, list_index, earlier, known_count = rows[:, :6].astype(np.int32).T
        return ReplayOutcome(
            event_index=event_index,
            rank=rank,
            case=case,
            list_index=list_index,
            earlier=earlier,
            known_count=known_count,
            gap_ms=rows[:, 6],
            top=np.array(self._tops, np.int32).reshape(-1, K),
            learn_us=1e6 * self._learn_s / max(self._learned_count, 1),
            rank_us=1e6 * self._rank_s / max(len(self._tops), 1),
        )

    def _teach(self, events: Sequence[ModelEvent]) -> None:
        began = time.perf_counter()
        self._model.learn(events)
        self._learn_s += time.perf_counter() - began
        self._learned_count += len(events)

    def _rank_targets(self, step: Rank, user: int, query: ModelQuery, *, known_count: int) -> None:
        """Rank the targets of a step for a query, and record the outcome."""
        began = time.perf_counter()
        scores = self._model.scores([query])[0]
        self._rank_s += time.perf_counter() - began
        ranking = self._ranking.rank(scores, self._histories.touched_items(user), self._stream.item[step.targets])
        list_index, earlier, gap_ms = (
            len(self._tops),
            self._histories.count(user),
            self._histories.gap_ms(user, step.at_ms if step.chosen_at_ms is None else step.chosen_at_ms),
        )
        self._tops.append(ranking.top)
        for event_index, rank in zip(step.targets.tolist(), ranking.ranks.tolist(), strict=True):
            self._rows.append((event_index, rank, self._cases, list_index, earlier, known_count, gap_ms))
            self._cases += not step.is_one_case
        self._cases += step.is_one_case

    def _events(self, indices: Indices) -> Iterator[ModelEvent]:
        for event_index in indices.tolist():
            event = self._stream.events[event_index]
            yield msgspec.structs.replace(event, weight=1.0) if self._protocol.is_weightless else event


class _Cold(_Run):
    def __init__(self, model: Model, stream: Stream, protocol: Protocol, *, seed: int) -> None:
        super().__init__(model, stream, protocol, seed=seed)
        group = np.random.default_rng(_HELD).permutation(len(stream.users)) % GROUPS
        self._is_held_out = group == seed % GROUPS

    def rank(self, step: Rank) -> None:
        user = int(self._stream.user[step.targets[0]])
        if self._is_held_out[user] and self._histories.count(user) >= _EARLIER:
            for known_count in KNOWN:
                self._rank_targets(
                    step,
                    user,
                    self._histories.history_query(
                        user, step.at_ms, known_count=known_count, read_at_ms=step.chosen_at_ms
                    ),
                    known_count=known_count,
                )

    def train(self, indices: Indices) -> None:
        super().train(indices[~self._is_held_out[self._stream.user[indices]]])
