"""Push candidates: requested notifications, and items that stand out in a feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from schemas.limit import PUSH_FIELDS
from schemas.types import Device, Feed, Notification, PushPreferences, PushRequest
from streams.core.byte_budget import fitting
from streams.core.dedup import deterministic_id, fingerprint, remember_event
from streams.core.params import PushParams
from streams.core.position import Position
from streams.core.push.push_state import PendingPush, PushState, decide, evict_oldest, rejection_reason
from streams.core.push.value import top_items

_DEVICES, _DEVICES_BYTES = 20, 128 << 10
_CATEGORIES_BYTES = 64 << 10
_EVENT_IDS, _MAX_EVENT_IDS = 256, 4_096
"""Number of request ids remembered regardless of age, and at most within a day."""


class PushItem(msgspec.Struct, frozen=True, gc=False):
    """An item of the catalog that may be pushed."""

    item_id: str
    category: str
    title: str
    created_at: int
    stock: int | None = None
    attributes: dict[str, str] = {}


def fold_request(
    state: PushState,
    request: PushRequest,
    position: Position,
    *,
    item: PushItem | None,
    params: PushParams,
    now_ms: int,
    evictions: Counter[str] | None = None,
) -> list[Notification]:
    """Fold a request; a repeat changes nothing.

    Args:
        state: The push state of the user.
        request: The request.
        position: Its position in its topic.
        item: The requested item; None if it names none or an unknown one.
        params: The parameters of pushes.
        now_ms: The time, in ms since the epoch.
        evictions: Counts entries evicted for lack of room, by collection.

    Returns:
        The decisions.
    """
    event_id = fingerprint(request.event_id)
    if position.repeats(state.position) or event_id in state.event_ids:
        return []
    state.position = position.after(state.position)
    evictions = Counter() if evictions is None else evictions
    evictions["event_ids"] += remember_event(
        state.event_ids,
        state.event_hours,
        event_id,
        position.append_ms,
        min_count=_EVENT_IDS,
        max_count=_MAX_EVENT_IDS,
    )
    if request.kind == "send":
        return list(_requested(state, request, item, params, now_ms))
    if request.token is not None:
        evictions["devices"] += _register(state, request, request.token, position)
    if request.preferences is not None:
        evictions["categories"] += _prefer(state, request, request.preferences, now_ms)
    return []


def fold_feed(
    state: PushState, feed: Feed, items: Mapping[str, PushItem], *, params: PushParams, now_ms: int
) -> list[Notification]:
    """Create candidates from the new items that stand out in a feed; a repeat changes nothing.

    Args:
        state: The push state of the user.
        feed: The feed.
        items: The catalog's data of the feed's top items, by id.
        params: The parameters of pushes.
        now_ms: The time, in ms since the epoch.

    Returns:
        The decisions.
    """
    if not is_newer(state, feed):
        return []
    state.feed = _version(feed)
    decisions = list(_outdated(state, set(feed.items), now_ms))
    usual = []
    for item_id, lead, reason in top_items(feed):
        item = items.get(item_id)
        if item is None:
            continue
        if now_ms - item.created_at > params.item_max_age_ms:
            usual.append(lead)
        else:
            candidate = _candidate(
                state,
                item_id,
                now_ms,
                item_id=item_id,
                category=item.category,
                title=item.title,
                body=reason,
                value=state.baseline.value(lead),
            )
            decisions.extend(_considered(state, candidate, params, now_ms))
    if (
        usual and feed.watermark
    ):  # before the first event all scores are nearly equal, and any lead is a multiple of that
        state.baseline.fold(max(usual))
    return decisions


def is_newer(state: PushState, feed: Feed) -> bool:
    """Return whether a feed is newer than the last one that was folded.

    Args:
        state: The push state of the user.
        feed: The feed.
    """
    return _version(feed) > state.feed


def _version(feed: Feed) -> tuple[int, int]:
    return feed.features_version, feed.generated_at


def _outdated(state: PushState, feed_items: Collection[str], now_ms: int) -> Iterator[Notification]:
    """Withdraw candidates of earlier feeds that are no longer recommended, as after a move to another city."""
    for waiting in list(state.pending.values()):
        candidate = waiting.notification
        if candidate.request_id is None and not waiting.attempts and candidate.item_id not in feed_items:
            yield from decide(state, candidate, ("withdrawn", "it is not recommended any more"), now_ms)


def _register(state: PushState, request: PushRequest, token: str, position: Position) -> int:
    """Register or revoke a device; a request older than the device's registration does nothing.

    Returns the number of other devices evicted for lack of bytes.
    """
    at_ms, device = min(request.occurred_at, position.append_ms), state.devices.get(token)
    if device is not None:
        if request.kind == "revoke":
            is_late = request.appended_at < device.appended_at
        else:
            is_late = (at_ms, position.append_ms) < (device.registered_at, device.appended_at)
        if is_late:
            return 0
    evicted_count = 0
    state.devices.pop(token, None)
    if request.kind == "register":
        state.devices[token] = Device(
            token=token, platform=request.platform, registered_at=at_ms, appended_at=position.append_ms
        )
        evicted_count = evict_oldest(state.devices, _DEVICES, budget=_DEVICES_BYTES)
    state.version += 1
    return evicted_count


def _prefer(state: PushState, request: PushRequest, preferences: PushPreferences, now_ms: int) -> int:
    """Update all preferences, or those that are named; held notifications are checked again.

    Returns the number of categories that had no room.
    """
    categories = preferences.categories or []
    fitting_count = fitting(categories, _CATEGORIES_BYTES)
    if fitting_count < len(categories):
        preferences = msgspec.structs.replace(preferences, categories=categories[:fitting_count])
    changes = {name: getattr(preferences, name) for name in request.fields or PUSH_FIELDS}
    state.preferences = msgspec.structs.replace(state.preferences, **changes)
    state.version += 1
    for waiting in state.pending.values():
        if not waiting.attempts:
            waiting.due_at = min(waiting.due_at, now_ms)
    return len(categories) - fitting_count


def _requested(
    state: PushState, request: PushRequest, item: PushItem | None, params: PushParams, now_ms: int
) -> Iterator[Notification]:
    """Check a requested notification, whatever its value."""
    candidate = _candidate(
        state,
        request.item_id or request.event_id,
        now_ms,
        item_id=request.item_id,
        category=request.category or (item.category if item else ""),
        title=request.title or (item.title if item else ""),
        body=request.body,
        request_id=request.event_id,
    )
    if state.is_closed(candidate.notification_id):
        reason = "it is on its way, or was sent before"
        # not recorded: the outcome of the first still holds
        yield msgspec.structs.replace(candidate, status="repeated", reason=reason)
    elif not candidate.title:
        reason = "it has no title, and its item is not in the catalogue"
        # not recorded: another request may have a title
        yield msgspec.structs.replace(candidate, status="failed", reason=reason)
    else:
        yield from _admitted(state, candidate, params, now_ms, is_listed=item is not None)


def _considered(state: PushState, candidate: Notification, params: PushParams, now_ms: int) -> Iterator[Notification]:
    """Check a new item of a feed; one that is closed yields no decision."""
    if state.is_closed(candidate.notification_id):
        return
    value, own = candidate.value or 0.0, state.preferences.value_threshold
    threshold = params.value_threshold if own is None else own
    if value < threshold:
        reason = f"it stands out {value:.2f} times as far as the usual leader, of {threshold:g} asked for"
        yield from decide(state, candidate, ("not_worth_it", reason), now_ms)
    else:
        yield from _admitted(state, candidate, params, now_ms, is_listed=True)


def _admitted(
    state: PushState, candidate: Notification, params: PushParams, now_ms: int, *, is_listed: bool
) -> Iterator[Notification]:
    """Let a candidate wait for its release, unless the user cannot or does not want to get it."""
    outcome = rejection_reason(state, candidate, state.devices)
    if outcome is not None:
        yield from decide(state, candidate, outcome, now_ms)
    else:
        state.pending[candidate.notification_id] = PendingPush(
            candidate, now_ms, now_ms + params.max_delay_ms, is_listed=is_listed
        )


def _candidate(state: PushState, about: str, now_ms: int, **fields: Any) -> Notification:
    """Return a notification without a decision."""
    return Notification(
        notification_id=deterministic_id(state.user_id, about),
        user_id=state.user_id,
        status="unknown",
        reason="",
        link=_link(fields["item_id"], fields["category"]),
        decided_at=now_ms,
        **fields,
    )


def _link(item_id: str | None, category: str) -> str:
    if item_id is not None:
        return f"/item/{quote(item_id, safe='')}"
    return f"/c/{quote(category, safe='')}" if category else "/"
