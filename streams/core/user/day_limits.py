"""The limits of a user's day: how much each event counts in what all users share.

A day is that of the event; days that arrive together, as in a history that is imported or dated back, count less for an
item the more of them there are.
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
    days = _earlier_days(state, item_id, at_ms)
    return _day_share(state, at_ms, days) * _item_share(state, item_id, at_ms)


def outcome_share(state: UserState, item_id: str, at_ms: int) -> float:
    """Return how much an event counts as an outcome, from which the weights of all users are learned.

    It is 1 / (1 + (n/130)²) / (1 + (m/5)²), where n events of the day came before it, m of them on the same item. First
    returns count nearly in full, since weights that never see them underrate the items that people come back to. The
    outcomes of a day still count no more than some two hundred together.
    """
    events = day_events(state, at_ms)
    returns = _returns(state, item_id, at_ms) + _earlier_days(state, item_id, at_ms)
    return 1.0 / (1.0 + (events / _HALF_EVENTS) ** 2) / (1.0 + (returns / _HALF_RETURNS) ** 2)


def day_events(state: UserState, at_ms: int) -> int:
    """Return the number of the user's events of a day so far; late events count towards the newest day."""
    return 0 if at_ms // DAY_MS > state.day else state.day_events


def _day_share(state: UserState, at_ms: int, days: int) -> float:
    """Return the factor of `share` by the events of that day, and the earlier days of the item that arrived with it."""
    return (1.0 + day_events(state, at_ms) / _FULL_EVENTS) ** -2 * (1.0 + days / _FULL_RETURNS) ** -2


def _item_share(state: UserState, item_id: str, at_ms: int) -> float:
    """Return the factor of `share` by the actions of that day on the item."""
    return (1.0 + _returns(state, item_id, at_ms) / _FULL_RETURNS) ** -2


def _returns(state: UserState, item_id: str, at_ms: int) -> int:
    """Return the number of the user's events of that day on the item before this one."""
    return state.today.get(fingerprint(item_id), _UNTOUCHED)[1] if day_events(state, at_ms) else 0


def _earlier_days(state: UserState, item_id: str, at_ms: int) -> int:
    """Return the number of earlier days on the item whose events arrived together with an event of a past day."""
    if at_ms // DAY_MS >= state.arrival_day:
        return 0
    item = fingerprint(item_id)
    is_closing = at_ms // DAY_MS > state.day and item in state.today
    return state.earlier_days.get(item, 0) + is_closing


class DayNote(NamedTuple):
    """The effect of an event on its item, within the limits of its day."""

    weight: float
    """The weight that the action adds to the strongest one of the day on the item, in its direction."""
    evidence: float
    """Evidence for the item (positive) or against it, by the first action of the day in its direction; 0 for others."""
    is_first: bool
    """Whether it is the first on the item, of the day and of all days whose events arrived with it."""
    limit: str
    """The limit that removes most or all of its weight: `items_per_day`, `same_item`, `events_per_day`; or empty."""


def note(state: UserState, item_id: str, weight: float, at_ms: int, *, append_ms: int, params: UserParams) -> DayNote:
    """Count an event in the limits of its day; late events count towards the newest day.

    Within a day, a user counts for an item as its strongest positive and its strongest negative action, and no more.

    Args:
        state: The state of the user.
        item_id: The item.
        weight: The weight of the action.
        at_ms: The time of the event.
        append_ms: The broker's time of it.
        params: The parameters of the fold.
    """
    days = _earlier_days(state, item_id, at_ms)
    day_share, item_share = _day_share(state, at_ms, days), _item_share(state, item_id, at_ms)
    if at_ms // DAY_MS > state.day:
        _open_day(state, at_ms // DAY_MS, append_ms // DAY_MS, params)
    state.day_events += 1
    item = fingerprint(item_id)
    strongest, earlier = state.today.get(item, _UNTOUCHED)
    if not earlier and len(state.today) >= params.day_items:
        return DayNote(0.0, 0.0, is_first=False, limit="items_per_day" if weight else "")
    state.today[item] = max(weight, strongest), earlier + 1
    weakest = state.against.get(item, 0.0)
    if weight < weakest:
        state.against[item] = weight
    weight_gain = max(weight - strongest, 0.0) if weight > 0.0 else min(weight - weakest, 0.0)
    direction = (weight > 0.0 == strongest) - (weight < 0.0 == weakest)
    limit = "events_per_day" if state.day_events > _FULL_EVENTS else ""
    if earlier + days >= _FULL_RETURNS or weight_gain == 0.0 != weight:
        limit = "same_item"
    return DayNote(
        weight_gain * day_share * item_share,
        direction * day_share,
        is_first=not earlier and not days,
        limit=limit,
    )


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
