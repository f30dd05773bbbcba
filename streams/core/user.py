"""A user's state and how events fold into it.

Sums decay forward: a weight at time t is stored as w·2^((t - reference)/half-life) and read back at the watermark, so
that folding an event costs no sweep over what is there and late events land where they belong.
"""

from __future__ import annotations

import msgspec

from models import decay
from models.weight import rating_of, weight_of
from schemas.types import Content, Features, Interaction, Location, Profile, RecentItem, Trigger
from schemas.zone import zone_named
from streams.core import place, trigger
from streams.core.params import UserParams
from streams.core.position import Position
from streams.core.repeat import fingerprint, remember
from streams.core.signal import Signal
from streams.core.view import Subject

ABOUT = ("keywords", "travel_history", "relationship_status")
"""Attributes of a profile that content can be fetched by."""
_ABOUT_CHARS = 500
_RESCALE_EXPONENT = 64.0
_HOURS = 24
_NEVER = -(1 << 60)
_KINDS = ("time", "location", "refresh", "rerank")
"""Triggers that ask for a user's own feed, where they name no candidates; for a re-rank nothing is fetched."""


class UserState(msgspec.Struct, array_like=True, gc=False):
    """Everything kept of one user. New fields are added at the end, with a default."""

    user_id: str
    version: int = 0
    watermark: int = 0
    event_count: int = 0
    position: tuple[int, int] | None = None
    reference_ms: int = 0
    categories: dict[str, float] = msgspec.field(default_factory=dict)
    topics: dict[str, float] = msgspec.field(default_factory=dict)
    sources: dict[str, float] = msgspec.field(default_factory=dict)
    hours: list[float] = msgspec.field(default_factory=lambda: [0.0] * _HOURS)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    recent: list[tuple[str, float, int]] = msgspec.field(default_factory=list)
    """(item, weight, at), oldest first."""
    seen: dict[str, None] = msgspec.field(default_factory=dict)
    queries: list[str] = msgspec.field(default_factory=list)
    event_ids: dict[int, None] = msgspec.field(default_factory=dict)
    cell: str | None = None
    cell_at: int = -1
    segment: str = ""
    preferred: list[str] = msgspec.field(default_factory=list)
    muted: list[str] = msgspec.field(default_factory=list)
    profile_at: int = -1
    visits: dict[str, int] = msgspec.field(default_factory=dict)
    """Actions on an item, where more than one; bounded like `seen`."""
    city: str | None = None
    timezone: str = ""
    about: dict[str, str] = msgspec.field(default_factory=dict)
    """What the profile says under the names in `ABOUT`."""
    fetched: dict[str, tuple[int, list[str]]] = msgspec.field(default_factory=dict)
    """Items that were last fetched in each category, and when they were asked for."""
    anchor: str | None = None
    left_at: int = -1
    moved_at: int = -1
    triggered: dict[str, int] = msgspec.field(default_factory=dict)
    """When a trigger of each kind was last acted on."""


def fold(
    state: UserState, event: Interaction, position: Position, *, subject: Subject, params: UserParams
) -> Signal | None:
    """Fold one interaction into its user's state; a repeat changes nothing.

    `subject` is what is known of the item. Returns the signal for the item, if there is one to send.
    """
    if position.repeats(state.position):
        return None
    state.position = position.after(state.position)
    event_id = fingerprint(event.event_id)
    if event_id in state.event_ids:
        return None
    signal = _apply(state, event, position, subject=subject, params=params)
    remember(state.event_ids, event_id, params.event_ids)  # last: what fails before may be sent again and count
    return signal


def _apply(
    state: UserState, event: Interaction, position: Position, *, subject: Subject, params: UserParams
) -> Signal | None:
    touch(state, position)
    state.watermark = max(state.watermark, event.occurred_at)
    state.event_count += 1
    state.counts[event.action] = state.counts.get(event.action, 0) + 1
    scale = _scale(state, event.occurred_at, params)
    state.hours[event.occurred_at // 3_600_000 % _HOURS] += scale
    if event.query:
        state.queries = [event.query, *(query for query in state.queries if query != event.query)][: params.queries]
    if event.item_id is None:
        return None
    weight = weight_of(event.action, event.value)
    _add_affinities(state, subject, weight * scale, params)
    state.recent.append((event.item_id, weight, event.occurred_at))
    del state.recent[: -params.recent_items]
    if event.item_id in state.seen:
        state.visits[event.item_id] = state.visits.get(event.item_id, 1) + 1
    forgotten = remember(state.seen, event.item_id, params.seen_items)
    if forgotten is not None:
        state.visits.pop(forgotten, None)
    return Signal(
        event.item_id,
        position,
        event.occurred_at,
        event.action,
        weight,
        rating=rating_of(event.action, event.value),
        segment=state.segment,
        nth=state.event_count - 1,
    )


def fold_location(state: UserState, event: Location, position: Position, params: UserParams) -> Trigger | None:
    """Move the user to where the newest ping was; return the trigger of a move that is worth telling."""
    if event.occurred_at <= state.cell_at:
        return None
    reason = place.move(state, event, params.triggers)
    state.cell, state.cell_at = event.cell, event.occurred_at
    touch(state, position)
    return None if reason is None else trigger.moved(event, reason)


def fold_profile(state: UserState, event: Profile, position: Position) -> None:
    """Take over what the newest profile states; of two of one time the later one. A repeat does nothing."""
    at_ms = min(event.occurred_at, position.append_ms)
    stated = {
        "segment": event.segment,
        "muted": event.muted,
        "preferred": [*event.categories, *event.topics],
        "city": event.city,
        "about": {name: event.attributes[name][:_ABOUT_CHARS] for name in ABOUT if name in event.attributes},
        "timezone": event.timezone if event.timezone and zone_named(event.timezone) else "",
    }
    differs = any(getattr(state, name) != value for name, value in stated.items())
    if at_ms > state.profile_at or (differs and at_ms == state.profile_at):
        for name, value in stated.items():
            setattr(state, name, value)
        state.profile_at = at_ms
        touch(state, position)


def forget_profile(state: UserState, at_ms: int, position: Position) -> None:
    """Go back to knowing nothing that the user stated until a time; of a user who is not known nothing is kept."""
    if state.version:
        fold_profile(state, Profile(event_id="", user_id=state.user_id, occurred_at=at_ms), position)


def fold_trigger(state: UserState, event: Trigger, position: Position, params: UserParams) -> None:
    """Have the user ranked again, but not for a repeat, nor within the window after another trigger of the kind."""
    event_id, last = fingerprint(event.event_id), state.triggered.get(event.kind, _NEVER)
    if event.kind not in _KINDS or event.candidates or event_id in state.event_ids:
        return
    if abs(event.occurred_at - last) >= params.triggers.window_ms:
        state.triggered[event.kind] = max(event.occurred_at, last)
        touch(state, position)
        remember(state.event_ids, event_id, params.event_ids)


def fold_content(state: UserState, event: Content, position: Position) -> None:
    """Take over what was fetched, where it was asked for later than what is there; nothing found changes nothing."""
    if event.items and event.requested_at > state.fetched.get(event.category, (-1, []))[0]:
        state.fetched[event.category] = event.requested_at, [found.item_id for found in event.items]
        touch(state, position)


def touch(state: UserState, position: Position) -> None:
    """Give the state its next version: the broker's time, or one more than the last when that is no later."""
    state.version = max(state.version + 1, position.append_ms)


def snapshot(state: UserState, params: UserParams) -> Features:
    """Return the features that the state stands for, affinities decayed to the watermark."""
    factor = 2.0 ** -((state.watermark - state.reference_ms) / _half_life_ms(params))
    return Features(
        user_id=state.user_id,
        version=state.version,
        watermark=state.watermark,
        event_count=state.event_count,
        segment=state.segment,
        preferred=state.preferred,
        muted=state.muted,
        categories=_decayed(state.categories, factor),
        topics=_decayed(state.topics, factor),
        sources=_decayed(state.sources, factor),
        hours=[hour * factor for hour in state.hours],
        counts=dict(state.counts),
        recent=[RecentItem(item_id=item, weight=weight, at=at) for item, weight, at in reversed(state.recent)],
        seen=list(state.seen),
        queries=state.queries,
        cell=state.cell,
        visits=dict(state.visits),
        city=state.city,
        prefetched=list(dict.fromkeys(item for _, items in state.fetched.values() for item in items)),
        timezone=state.timezone,
        triggered_at=max(state.triggered.values(), default=0),
    )


def _add_affinities(state: UserState, subject: Subject, weight: float, params: UserParams) -> None:
    if subject.category:
        _add(state.categories, subject.category, weight, params.affinities)
    if subject.source:
        _add(state.sources, subject.source, weight, params.affinities)
    for topic in subject.topics:
        _add(state.topics, topic, weight / len(subject.topics), params.affinities)


def _add(sums: dict[str, float], name: str, weight: float, most: int) -> None:
    sums[name] = sums.get(name, 0.0) + weight
    if len(sums) > most:
        del sums[min(sums, key=lambda known: (abs(sums[known]), known))]


def _scale(state: UserState, at_ms: int, params: UserParams) -> float:
    if state.reference_ms == 0:
        state.reference_ms = at_ms
    exponent = (at_ms - state.reference_ms) / _half_life_ms(params)
    if exponent > _RESCALE_EXPONENT:
        factor = 2.0**-exponent
        for sums in (state.categories, state.topics, state.sources):
            for name in sums:
                sums[name] *= factor
        state.hours = [hour * factor for hour in state.hours]
        state.reference_ms, exponent = at_ms, 0.0
    return float(2.0**exponent)


def _decayed(sums: dict[str, float], factor: float) -> dict[str, float]:
    return {name: sum_ * factor for name, sum_ in sums.items()}


def _half_life_ms(params: UserParams) -> float:
    return params.affinity_half_life_days * decay.DAY_MS
