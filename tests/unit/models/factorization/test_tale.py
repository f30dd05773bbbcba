"""TALE: the closed form over single targets, interval weights, and popularity at the time of each event."""

from __future__ import annotations

import math

import numpy as np
import pytest

from domain.timestamp import DAY_MS
from models.base import ModelEvent, ModelQuery
from models.factorization.tale import Tale
from tests.unit.models.builder import T0_MS

EVENTS = 40


def an_event(user: int, item: int, days: float) -> ModelEvent:
    return ModelEvent(f"u{user}", f"i{item}", T0_MS + round(days * DAY_MS), 1.0)


def some_events() -> list[ModelEvent]:
    draw = np.random.default_rng(0)
    return [an_event(int(draw.integers(5)), int(draw.integers(6)), n * 0.2) for n in range(EVENTS)]


def weights_by_definition(
    events: list[ModelEvent], *, tau: float, floor: float, popularity_days: float, exponent: float
) -> np.ndarray:
    """Return (SᵀS + I)⁻¹ SᵀT, with S and T written out row by row."""
    names = list(dict.fromkeys(event.item_id for event in events))
    histories: dict[str, list[tuple[int, int, float]]] = {}
    sources, targets = [], []
    for number, event in enumerate(events):
        item = names.index(event.item_id)
        same = [one.at_ms for one in events[: number + 1] if one.item_id == event.item_id]
        popularity = sum(math.exp((at_ms - event.at_ms) / DAY_MS / popularity_days) for at_ms in same)
        value, history = popularity**-exponent, histories.setdefault(event.user_id, [])
        if history:
            source, target = np.zeros(len(names)), np.zeros(len(names))
            for other, at_ms, weight in history:
                source[other] += weight * max(math.exp(-(event.at_ms - at_ms) / DAY_MS / tau), floor)
            target[item] = value
            sources.append(source)
            targets.append(target)
        history.append((item, event.at_ms, value))
    s, t = np.array(sources), np.array(targets)
    return np.asarray(np.linalg.solve(s.T @ s + np.eye(len(names)), s.T @ t))


@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_the_weights_are_those_of_the_definition_however_often_it_was_refitted(exponent: float) -> None:
    events = some_events()
    expected = weights_by_definition(events, tau=0.5, floor=0.2, popularity_days=3.0, exponent=exponent)
    for refit_every in (1, EVENTS - 32):
        model = Tale(
            regularization=1.0,
            refit_every=refit_every,
            interval_days=0.5,
            interval_floor=0.2,
            popularity_days=3.0,
            popularity_exponent=exponent,
        )
        model.learn(events)
        for item, name in enumerate(model.items.names):
            scores = model.scores([ModelQuery("new", ((name, 1.0),))])[0]
            assert scores == pytest.approx(expected[item], abs=1e-4)


def test_what_followed_soon_counts_more_than_what_followed_late() -> None:
    model = Tale(regularization=1.0, interval_days=0.5, interval_floor=0.0)
    model.learn([an_event(user, item, days) for user in range(30) for item, days in ((0, 0.0), (1, 0.1), (2, 5.0))])
    soon, late = (model.scores([ModelQuery("new", (("i0", 1.0),))])[0][item] for item in (1, 2))
    assert soon > 2 * late > 0
