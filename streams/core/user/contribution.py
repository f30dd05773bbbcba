"""Contribution: what one event of a user may add to shared statistics, given the other events of its day.

One user or device cannot lead trends, popularity or links by clicking: events of a day, of an item, and of earlier days
that arrive late count less and less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.timestamp import DAY_MS
from streams.core.dedup import fingerprint
from streams.core.params import UserParams

if TYPE_CHECKING:
    from streams.core.user.user_state import UserState

_FULL_EVENTS, _FULL_RETURNS = 200.0, 3.0
"""Events of a user's day, and those on one item, after which the next one has a quarter of its weight in shared
statistics."""
_HALF_EVENTS, _HALF_RETURNS = 130.0, 5.0
"""The same, after which the next one counts half as an outcome."""
_UNTOUCHED = (0.0, 0)


def share(state: UserState, item_id: str, at_ms: int) -> float:
    """Return the weight of an event in shared statistics, which falls with the number of the user's events of that day.

    All events of a user's day together count no more than some two hundred, and those on one item no more than three.
    So do the days of an item whose events arrive on one day: who dates events back gains nothing from it.
    """
    return day_share(state, item_id, at_ms) * (1.0 + _returns(state, item_id, at_ms) / _FULL_RETURNS) ** -2


def outcome_share(state: UserState, item_id: str, at_ms: int) -> float:
    """Return how much an event counts as an outcome, from which the weights of all users are learned.

    It is 1 / (1 + (n/130)²) / (1 + (m/5)²), where n events of the day came before it, m of them on the same item. First
    returns count nearly in full, since weights that never see them underrate the items that people come back to. The
    outcomes of a day still count no more than some two hundred together.
    """
    events = day_events(state, at_ms)
    returns = _returns(state, item_id, at_ms) + _backdated_days(state, item_id, at_ms)
    return 1.0 / (1.0 + (events / _HALF_EVENTS) ** 2) / (1.0 + (returns / _HALF_RETURNS) ** 2)


def day_events(state: UserState, at_ms: int) -> int:
    """Return the number of the user's events of a day so far; late events count towards the newest day."""
    return 0 if at_ms // DAY_MS > state.day else state.day_events


def day_share(state: UserState, item_id: str, at_ms: int) -> float:
    """Return the part of `share` that does not depend on the actions of that day on the item."""
    events, days = day_events(state, at_ms), _backdated_days(state, item_id, at_ms)
    return (1.0 + events / _FULL_EVENTS) ** -2 * (1.0 + days / _FULL_RETURNS) ** -2


def _returns(state: UserState, item_id: str, at_ms: int) -> int:
    """Return the number of the user's events of that day on the item before this one."""
    return state.today.get(fingerprint(item_id), _UNTOUCHED)[1] if day_events(state, at_ms) else 0


def _backdated_days(state: UserState, item_id: str, at_ms: int) -> int:
    """Return the number of earlier days on the item whose events arrived together with an event of a past day."""
    if at_ms // DAY_MS >= state.arrival_day:
        return 0
    item = fingerprint(item_id)
    is_closing = at_ms // DAY_MS > state.day and item in state.today
    return state.earlier_days.get(item, 0) + is_closing


class Contribution(NamedTuple):
    """The effect of an event within the limits of its day."""

    weight_gain: float
    """The weight that the action adds to the strongest one of the day on the item, in its direction."""
    direction: int = 0
    """1 for the first positive action of the day on the item, -1 for the first negative one, 0 for all others."""
    is_first: bool = False
    """Whether it is the first on the item, of the day and of all days whose events arrived with it."""
    limit: str = ""
    """The limit that removes most or all of its weight: `items_per_day`, `same_item`, `events_per_day`; or empty."""


def record(
    state: UserState, item_id: str, weight: float, at_ms: int, *, append_ms: int, params: UserParams
) -> Contribution:
    """Count an event in the limits of its day; late events count towards the newest day.

    Within a day, a user counts for an item as its strongest positive and its strongest negative action, and no more.
    """
    days = _backdated_days(state, item_id, at_ms)
    if at_ms // DAY_MS > state.day:
        _open_day(state, at_ms // DAY_MS, append_ms // DAY_MS, params)
    state.day_events += 1
    item = fingerprint(item_id)
    strongest, earlier = state.today.get(item, _UNTOUCHED)
    if not earlier and len(state.today) >= params.day_items:
        return Contribution(0.0, limit="items_per_day" if weight else "")
    state.today[item] = max(weight, strongest), earlier + 1
    weakest = state.against.get(item, 0.0)
    if weight < weakest:
        state.against[item] = weight
    weight_gain = max(weight - strongest, 0.0) if weight > 0.0 else min(weight - weakest, 0.0)
    direction = (weight > 0.0 == strongest) - (weight < 0.0 == weakest)
    is_first = not earlier and not days
    if earlier + days >= _FULL_RETURNS or weight_gain == 0.0 != weight:
        return Contribution(weight_gain, direction, is_first, "same_item")
    return Contribution(weight_gain, direction, is_first, "events_per_day" if state.day_events > _FULL_EVENTS else "")


def _open_day(state: UserState, day: int, arrival_day: int, params: UserParams) -> None:
    """Begin a day of events; the items of the one before are kept if both are past days that arrived on one day."""
    if arrival_day != state.arrival_day:
        state.earlier_days.clear()
    elif state.day < arrival_day:
        for item in state.today:
            state.earlier_days[item] = state.earlier_days.pop(item, 0) + 1
        for item in list(state.earlier_days)[: -params.backdated_items]:
            del state.earlier_days[item]
    state.day, state.arrival_day, state.day_events = day, arrival_day, 0
    state.today.clear()
    state.against.clear()
