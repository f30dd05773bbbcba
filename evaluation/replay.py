"""Drives a model through the steps of a protocol and notes what came of each test event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from evaluation.history import Histories
from evaluation.protocol import PROTOCOLS, WEIGHTLESS, Learn, Part, Rank
from evaluation.ranking import K, Placed, Ranking
from evaluation.stream import Stream
from models.model import Event, Model

_TELL_EVERY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One entry per test event, in the order they were ranked; `top` has one row per list."""

    place: NDArray[np.int32]
    rank: NDArray[np.int32]
    case: NDArray[np.int32]
    """Which case it belongs to; a case has one list and one or more relevant items."""
    shown: NDArray[np.int32]
    """The row of its list in `top`."""
    earlier: NDArray[np.int32]
    """Events of the user that were learned before."""
    gap_ms: NDArray[np.int64]
    """Time since the last of them, or -1."""
    top: NDArray[np.int32]
    learn_us: float
    """Time to learn one event."""
    rank_us: float
    """Time to score all items for one list."""


def replay(
    model: Model,
    stream: Stream,
    protocol: str,
    *,
    part: Part = "test",
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda learned: None,
) -> Outcome:
    """Replay a stream through a model; the seed is for ties, and `on_progress` hears how many events were learned."""
    run = _Run(model, stream, weightless=protocol in WEIGHTLESS, seed=seed)
    for number, step in enumerate(PROTOCOLS[protocol](stream, part)):
        if isinstance(step, Learn):
            run.learn(step)
        else:
            run.rank(step)
        if number % _TELL_EVERY == 0:
            on_progress(run.learned)
    on_progress(run.learned)
    return run.outcome()


class _Run:
    def __init__(self, model: Model, stream: Stream, *, weightless: bool, seed: int) -> None:
        self.learned = 0
        self._model, self._stream, self._weightless = model, stream, weightless
        self._histories = Histories(stream)
        self._ranking = Ranking(stream, model.items, seed=seed)
        self._rows: list[tuple[int, int, int, int, int, int]] = []
        self._tops: list[NDArray[np.int32]] = []
        self._cases = 0
        self._learn_s = self._rank_s = 0.0

    def learn(self, step: Learn) -> None:
        events = list(self._events(step))
        began = time.perf_counter()
        self._model.learn(events)
        self._learn_s += time.perf_counter() - began
        self.learned += len(events)
        for place, event in zip(step.places.tolist(), events, strict=True):
            self._histories.add(place, event)

    def rank(self, step: Rank) -> None:
        user = int(self._stream.user[step.targets[0]])
        query = self._histories.query(user, step.at_ms)
        began = time.perf_counter()
        scores = self._model.scores([query])[0]
        self._rank_s += time.perf_counter() - began
        placed = self._ranking.place(scores, self._histories.touched(user), self._stream.item[step.targets])
        self._note(step, user, placed)

    def outcome(self) -> Outcome:
        rows = np.array(self._rows, np.int64).reshape(-1, 6)
        return Outcome(
            place=rows[:, 0].astype(np.int32),
            rank=rows[:, 1].astype(np.int32),
            case=rows[:, 2].astype(np.int32),
            shown=rows[:, 3].astype(np.int32),
            earlier=rows[:, 4].astype(np.int32),
            gap_ms=rows[:, 5],
            top=np.array(self._tops, np.int32).reshape(-1, K),
            learn_us=1e6 * self._learn_s / max(self.learned, 1),
            rank_us=1e6 * self._rank_s / max(len(self._tops), 1),
        )

    def _events(self, step: Learn) -> Iterator[Event]:
        for place in step.places.tolist():
            event = self._stream.events[place]
            yield msgspec.structs.replace(event, weight=1.0) if self._weightless else event

    def _note(self, step: Rank, user: int, placed: Placed) -> None:
        shown, earlier, gap_ms = len(self._tops), self._histories.count(user), self._histories.gap_ms(user, step.at_ms)
        self._tops.append(placed.top)
        for place, rank in zip(step.targets.tolist(), placed.ranks.tolist(), strict=True):
            self._rows.append((place, rank, self._cases, shown, earlier, gap_ms))
            self._cases += not step.together
        self._cases += step.together
