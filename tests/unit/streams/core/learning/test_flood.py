"""Two thousand clicks by one id: the feeds of others hardly move, whatever the clicks are on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from schemas.types import Interaction
from tests.unit.streams.core.learning.test_day_one import NOW_MS, Service

CLICKS = 2_000
FLOODS: dict[str, tuple[Callable[[int], int], int]] = {
    "one item": (lambda number: 0, 1_000),
    "one item in one batch": (lambda number: 0, 0),
    "ten items in turn": (lambda number: number % 10, 1_000),
    "many items": (lambda number: 7 * number, 1_000),
}
"""The number of the item of each click, and ms between clicks."""


def flood(which: str, *, seed: int = 7) -> list[tuple[int, int]]:
    """Return by how many places items moved, at most, and how many are new, in the feed of each bystander."""
    service, (item_of, step_ms) = Service(1, seed=seed), FLOODS[which]
    view = service.learner.catalog
    items = [item.item_id for item in service.dataset.items if item.city is None]
    items.sort(key=lambda item: (view.horizon_logs[3, view.items.get(item)], item))  # least popular first
    before = {user: service.first(user) for user in service.bystanders()}
    for number in range(CLICKS):
        click = Interaction(
            event_id=f"click-{number}",
            user_id="bot",
            item_id=items[item_of(number) % len(items)],
            action="click",
            occurred_at=NOW_MS + 1_000 + number * step_ms,
        )
        service.act(click)
    return [moved(first, service.first(user)) for user, first in before.items()]


def moved(before: list[str], after: list[str]) -> tuple[int, int]:
    shifts = [abs(before.index(item) - after.index(item)) for item in before if item in after]
    return max(shifts, default=0), len({*after} - {*before})


@pytest.mark.parametrize("which", ["one item", "one item in one batch"])
def test_a_flood_on_one_item_moves_others_by_a_place_at_most(which: str) -> None:
    shifts, new = zip(*flood(which), strict=True)
    assert max(shifts) <= 1
    assert max(new) == 0


@pytest.mark.parametrize("which", ["ten items in turn", "many items"])
def test_a_flood_on_several_items_is_hardly_seen_by_others(which: str) -> None:
    shifts, new = zip(*(one for seed in (7, 8, 9) for one in flood(which, seed=seed)), strict=True)
    assert np.median(shifts) <= 2, shifts
    assert np.median(new) == 0
    assert max(new) <= 6, new
