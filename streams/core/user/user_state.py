"""A user's state, and the folds of events into it, which change it in place.

Sums use forward decay: a weight at time t is stored as w·2^((t - reference)/half-life) and read back at the watermark.
Folding an event therefore costs no sweep over existing sums, and late events get their proper weight.

A state is bounded in bytes, and so are the features published from it: every collection has a budget, beyond which its
oldest or weakest entries are evicted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from operator import itemgetter

import msgspec

from domain.timestamp import DAY_MS, HOUR_MS
from domain.zone import zone_named
from models import decay
from models.weight import event_rating, event_weight
from schemas.record_limit import check_rating
from schemas.types import Content, Exposure, Features, Interaction, Location, Profile, RecentItem, Trigger, UserWeights
from streams.core.byte_budget import fitting, size, total
from streams.core.dedup import fingerprint, lru_add, remember_event
from streams.core.item.item_stats import ItemSignal
from streams.core.params import UserParams
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.triggers import trigger_id
from streams.core.triggers.list_request import requests_list
from streams.core.user import day_limits, geofence, situation
from streams.core.user.demographic_group import demographic_group

ABOUT = ("keywords", "travel_history", "relationship_status")
"""Attributes of a profile that prefetch requests can use."""
_ABOUT_CHARS = 500
_RESCALE_EXPONENT = 64.0
_HOURS = 24
_NEVER = -(1 << 60)
_SEEN_BYTES = 128 << 10
"""Byte budget of the ids of seen items. Ids of items acted on again count twice, here and among the visits."""
_LABEL_BYTES = 32 << 10
"""Byte budget of the names in one affinity map, and of stated preferences."""
_MUTED_BYTES = 64 << 10
_FETCHED_BYTES = 64 << 10
"""Byte budget of prefetched items, over all categories."""
_EXPOSURES = 100
"""Exposures of a user that are remembered."""
_KINDS = ("time", "location", "refresh", "rerank")
"""Triggers that request the user's own feed, if they name no candidates; a re-rank fetches nothing."""


class UserState(msgspec.Struct, array_like=True, gc=False):
    """The state of one user. New fields are added at the end, with a default."""

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
    seen: dict[str, None] = msgspec.field(default_factory=dict)  # wire
    queries: list[str] = msgspec.field(default_factory=list)
    event_ids: dict[int, None] = msgspec.field(default_factory=dict)
    cell: str | None = None
    cell_at: int = -1
    segment: str = ""
    preferred: list[str] = msgspec.field(default_factory=list)  # wire
    muted: list[str] = msgspec.field(default_factory=list)  # wire
    profile_at: int = -1
    visits: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of actions on an item, where more than one; bounded like `seen`."""
    city: str | None = None
    timezone: str = ""
    about: dict[str, str] = msgspec.field(default_factory=dict)
    """Attributes of the profile under the names in `ABOUT`."""
    fetched: dict[str, tuple[int, list[str]]] = msgspec.field(default_factory=dict)  # wire
    """Items of the last prefetch in each category, with the time of its request."""
    anchor: str | None = None
    left_at: int = -1
    moved_at: int = -1
    triggered: dict[str, int] = msgspec.field(default_factory=dict)  # wire
    """Time of the last effective trigger of each kind."""
    seen_bytes: int = 0
    """Bytes of the ids in `seen`; 0 before they are counted."""
    event_hours: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """Number of `event_ids` per hour; see `streams.core.dedup`."""
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    """Personal weights, added to the shared weights, by feature."""
    day: int = 0
    """The newest day with an event, in days since the epoch."""
    day_events: int = 0
    today: dict[int, tuple[float, int]] = msgspec.field(default_factory=dict)
    """The strongest action of that day on each item, by fingerprint, and the number of actions."""
    since: int = 0
    """Append time of the first record folded, in ms since the epoch; 0 if it was not noted."""
    exposures: dict[int, None] = msgspec.field(default_factory=dict)
    """Fingerprints of the ids of the last exposures to arms of experiments."""
    against: dict[int, float] = msgspec.field(default_factory=dict)
    """The strongest negative action of that day on each item, by fingerprint; its items are among those of `today`."""
    arrival_day: int = 0
    """The day of the append of the first event of `day`, in days since the epoch."""
    earlier_days: dict[int, int] = msgspec.field(default_factory=dict)
    """Number of earlier days whose events on an item arrived on `arrival_day`, by fingerprint, the newest last."""
    situation_affinities: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    """Affinities by situation and label; see `streams.core.user.situation`."""
    situation: list[str] = msgspec.field(default_factory=list)
    """The situations of the newest event whose context states any."""


def fold(
    state: UserState,
    event: Interaction,
    position: Position,
    *,
    subject: ItemLabels,
    params: UserParams,
    evictions: Counter[str] | None = None,
) -> ItemSignal | None:
    """Fold one interaction into its user's state; a repeat changes nothing.

    Args:
        state: The state of the user.
        event: The interaction.
        position: Its position in its topic.
        subject: The labels of its item.
        params: The parameters of the fold.
        evictions: Counts entries evicted for lack of room, by collection.

    Returns:
        The signal for the item; None if there is none to send.

    Raises:
        OutOfRangeError: the rating is above the scale.
    """
    check_rating(event, params.rating_scale)
    if position.repeats(state.position):
        return None
    state.position = position.after(state.position)
    event_id = fingerprint(event.event_id)
    if event_id in state.event_ids:
        return None
    evictions = Counter() if evictions is None else evictions
    signal = _apply(state, event, position, subject=subject, params=params, evictions=evictions)
    _remember(
        state, event_id, position, params, evictions
    )  # last: an event that fails before may be sent again and count
    return signal


def _apply(
    state: UserState,
    event: Interaction,
    position: Position,
    *,
    subject: ItemLabels,
    params: UserParams,
    evictions: Counter[str],
) -> ItemSignal | None:
    touch(state, position)
    state.watermark = max(state.watermark, event.occurred_at)
    state.event_count += 1
    state.counts[event.action] = state.counts.get(event.action, 0) + 1
    scale = _scale(state, event.occurred_at, params)
    state.hours[event.occurred_at // HOUR_MS % _HOURS] += scale
    if event.query:
        state.queries = [event.query, *(query for query in state.queries if query != event.query)][: params.queries]
    if event.item_id is None:
        return None
    weight = event_weight(event, params.rating_scale)
    rating = event_rating(event, params.rating_scale)
    note = day_limits.note(state, event.item_id, weight, event.occurred_at, append_ms=position.append_ms, params=params)
    _add_affinities(state, subject, weight * scale, params, evictions)
    _add_situations(state, event, subject, weight * scale, params)
    index = bisect_right(state.recent, event.occurred_at, key=itemgetter(2))  # late events go in order
    state.recent.insert(index, (event.item_id, weight, event.occurred_at))
    del state.recent[: -params.recent_items]
    _mark_seen(state, event.item_id, params, evictions)
    return ItemSignal(
        event.item_id,
        position,
        event.occurred_at,
        event.action,
        note.weight,
        rating=rating if note.is_first else None,
        segment=state.segment,
        user_event_index=state.event_count - 1,
        limit=note.limit,
        evidence=note.evidence if rating is None else 0.0,
    )


def fold_location(state: UserState, event: Location, position: Position, params: UserParams) -> Trigger | None:
    """Move the user to the newest ping's cell; return the trigger if the geofence reports a move."""
    if event.occurred_at <= state.cell_at:
        return None
    reason = geofence.fold_ping(state, event, params.triggers)
    state.cell, state.cell_at = event.cell, event.occurred_at
    touch(state, position)
    return None if reason is None else trigger_id.geofence_trigger(event, reason)


def fold_profile(
    state: UserState, event: Profile, position: Position, *, evictions: Counter[str] | None = None
) -> None:
    """Apply the newest stated profile; of two with one time the later one wins. A repeat changes nothing.

    Lists that exceed their budget keep their first entries; `evictions` counts the others.
    """
    at_ms = min(event.occurred_at, position.append_ms)
    preferences = [*event.categories, *event.topics]
    stated_values = {
        "segment": event.segment or demographic_group(event.attributes),
        "muted": event.muted[: fitting(event.muted, _MUTED_BYTES)],
        "preferred": preferences[: fitting(preferences, _LABEL_BYTES)],
        "city": event.city,
        "about": {name: event.attributes[name][:_ABOUT_CHARS] for name in ABOUT if name in event.attributes},
        "timezone": event.timezone if event.timezone and zone_named(event.timezone) else "",
    }
    differs = any(getattr(state, name) != value for name, value in stated_values.items())
    if at_ms > state.profile_at or (differs and at_ms == state.profile_at):
        for name, value in stated_values.items():
            setattr(state, name, value)
        state.profile_at = at_ms
        if evictions is not None:
            evictions["muted"] += len(event.muted) - len(state.muted)
            evictions["preferred"] += len(preferences) - len(state.preferred)
        touch(state, position)


def forget_profile(state: UserState, at_ms: int, position: Position) -> None:
    """Forget the user's statements up to a time; no state is created for an unknown user."""
    if state.version:
        fold_profile(state, Profile(event_id="", user_id=state.user_id, occurred_at=at_ms), position)


def fold_trigger(state: UserState, event: Trigger, position: Position, params: UserParams) -> None:
    """Have the user ranked again, except for a repeat or within the window after another trigger of the kind."""
    event_id, last = fingerprint(event.event_id), state.triggered.get(event.kind, _NEVER)
    if event.kind not in _KINDS or event.candidates or requests_list(event) or event_id in state.event_ids:
        return
    if abs(event.occurred_at - last) >= params.triggers.window_ms:
        state.triggered[event.kind] = max(event.occurred_at, last)
        touch(state, position)
        _remember(state, event_id, position, params, Counter())


def fold_content(
    state: UserState, event: Content, position: Position, *, evictions: Counter[str] | None = None
) -> None:
    """Store prefetched items that are newer by the time of their request; an empty result changes nothing.

    If the budget is exceeded, the last items of a category and the categories with the oldest requests are evicted.
    """
    if event.items and event.requested_at > state.fetched.get(event.category, (-1, []))[0]:
        items = [item.item_id for item in event.items]
        fitting_items = items[: fitting(items, _FETCHED_BYTES - size(event.category))]
        state.fetched[event.category] = event.requested_at, fitting_items
        evicted_count = len(items) - len(fitting_items)
        while sum(size(name) + total(ids) for name, (_, ids) in state.fetched.items()) > _FETCHED_BYTES:
            oldest = min(state.fetched, key=lambda name: (name == event.category, state.fetched[name][0], name))
            evicted_count += len(state.fetched.pop(oldest)[1])
        if evictions is not None:
            evictions["fetched"] += evicted_count
        touch(state, position)


def fold_weights(state: UserState, event: UserWeights, position: Position) -> None:
    """Store the user's personal weights; they take effect from the next event on."""
    state.weights = event.weights


def fold_exposure(state: UserState, event: Exposure, position: Position) -> None:
    """Remember that an exposure was published; the features stay as they are."""
    lru_add(state.exposures, fingerprint(event.event_id), _EXPOSURES)


def touch(state: UserState, position: Position) -> None:
    """Advance the version of the state: to the broker's time, or by one if that is no later."""
    if not state.version:
        state.since = position.append_ms
    state.version = max(state.version + 1, position.append_ms)


def snapshot(state: UserState, params: UserParams) -> Features:
    """Return the features of the state, with affinities decayed to the watermark."""
    factor = decay.factor((state.reference_ms - state.watermark) / _half_life_ms(params))
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
        weights=state.weights,
        interactions_offset=-1 if state.position is None else state.position[0],
        situation_affinities={name: _decayed(sums, factor) for name, sums in state.situation_affinities.items()},
        situation=list(state.situation),
    )


def _remember(state: UserState, event_id: int, position: Position, params: UserParams, evictions: Counter[str]) -> None:
    early = remember_event(
        state.event_ids,
        state.event_hours,
        event_id,
        position.append_ms,
        min_count=params.event_ids,
        max_count=params.max_event_ids,
    )
    if early:
        evictions["event_ids"] += early


def _mark_seen(state: UserState, item_id: str, params: UserParams, evictions: Counter[str]) -> None:
    """Move an item to the end of the seen items; the items seen longest ago are evicted."""
    seen_items, visits = state.seen, state.visits
    state.seen_bytes = state.seen_bytes or total(seen_items)
    if item_id in seen_items:
        visits[item_id] = visits.get(item_id, 1) + 1
        del seen_items[item_id]
    else:
        state.seen_bytes += size(item_id)
    seen_items[item_id] = None
    while len(seen_items) > params.seen_items or state.seen_bytes > _SEEN_BYTES:
        if len(seen_items) <= params.seen_items:
            evictions["seen"] += 1
        oldest = next(iter(seen_items))
        del seen_items[oldest]
        visits.pop(oldest, None)
        state.seen_bytes -= size(oldest)


def _add_affinities(
    state: UserState, subject: ItemLabels, weight: float, params: UserParams, evictions: Counter[str]
) -> None:
    evicted_count = 0
    if subject.category:
        evicted_count += _add(state.categories, subject.category, weight, params.affinities)
    if subject.source:
        evicted_count += _add(state.sources, subject.source, weight, params.affinities)
    for topic in subject.topics:
        evicted_count += _add(state.topics, topic, weight / len(subject.topics), params.affinities)
    if evicted_count:
        evictions["affinities"] += evicted_count


def _add_situations(
    state: UserState, event: Interaction, subject: ItemLabels, weight: float, params: UserParams
) -> None:
    context_situations = situation.stated_situations(event.context)
    situations = situation.with_time_of_day(
        context_situations,
        event.occurred_at,
        timezone=state.timezone,
        default_timezone=params.triggers.default_timezone,
    )
    situation.add_affinities(state.situation_affinities, situations, subject, weight)
    if context_situations and event.occurred_at >= state.watermark:
        state.situation = situations


def _add(sums: dict[str, float], name: str, weight: float, max_entries: int) -> int:
    """Add to a name's sum, evicting the weakest names; return the number evicted for lack of bytes."""
    if name in sums:
        sums[name] += weight
        return 0
    sums[name] = weight
    evicted_count = 0
    while len(sums) > max_entries or total(sums) > _LABEL_BYTES:
        evicted_count += len(sums) <= max_entries
        del sums[min(sums, key=lambda label: (abs(sums[label]), label))]
    return evicted_count


def _scale(state: UserState, at_ms: int, params: UserParams) -> float:
    if state.reference_ms == 0:
        state.reference_ms = at_ms
    exponent = (at_ms - state.reference_ms) / _half_life_ms(params)
    if exponent > _RESCALE_EXPONENT:
        factor = decay.factor(-exponent)
        for sums in (state.categories, state.topics, state.sources, *state.situation_affinities.values()):
            for name in sums:
                sums[name] *= factor
        state.hours = [hour * factor for hour in state.hours]
        state.reference_ms, exponent = at_ms, 0.0
    return decay.factor(exponent)


def _decayed(sums: dict[str, float], factor: float) -> dict[str, float]:
    return {name: sum_ * factor for name, sum_ in sums.items()}


def _half_life_ms(params: UserParams) -> float:
    return params.affinity_half_life_days * DAY_MS
