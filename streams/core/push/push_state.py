"""A user's push state, and the record of decisions in it.

    request, or a lead in a feed ─▶ candidate ─▶ waiting ─release─▶ delivery ─record─▶ sent
                                           │        ▲  │               │  │
              repeated, unregistered ◀─────┤        │  ├─▶ quiet_hours │  └──▶ failed, unregistered
              unwanted, not_worth_it ◀─────┘        │  ├─▶ capped      ▼
                                                    │  ├─▶ expired   retrying
                                                    │  └─▶ withdrawn    │
                                                    └──────────────────┘

`streams.core.push.candidates` creates candidates, `streams.core.push.delivery` does the rest. Every accepted candidate
waits, if only for an instant: a push held by quiet hours, one to be retried and one interrupted by a crash are handled
alike.

A notification has one id per user and item, or per request if it has no item. Once it was sent, failed or expired, it
is never sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from schemas.types import Device, Devices, Notification, NotificationStatus, PushPreferences, PushToken
from streams.core.byte_budget import total
from streams.core.push.value import BaselineLead

_FINAL: frozenset[NotificationStatus] = frozenset({"sent", "failed", "expired", "not_configured"})
_DECISIONS = 500
_WAITING_BYTES = 256 << 10
"""Byte budget of waiting notifications: a state is one record of its changelog."""

Outcome = tuple[NotificationStatus, str]
"""A decision and its reason."""


class PendingPush(msgspec.Struct, array_like=True):
    """A notification that waits for its delivery."""

    notification: Notification
    due_at: int
    expires_at: int
    tokens: list[str] = msgspec.field(default_factory=list)
    """Devices still to be reached; empty for all of the user's devices."""
    attempts: int = 0
    is_listed: bool = False
    """Whether its item was in the catalog when the wait began: then it is not sent once the item is gone."""


class PushState(msgspec.Struct, array_like=True):
    """The push state of one user. New fields are added at the end, with a default."""

    user_id: str
    devices: dict[str, Device] = msgspec.field(default_factory=dict)
    """By token, longest registered first."""
    preferences: PushPreferences = msgspec.field(default_factory=PushPreferences)
    version: int = 0
    """Increases with every change of devices or preferences."""
    position: tuple[int, int] | None = None
    event_ids: dict[int, None] = msgspec.field(default_factory=dict)
    feed: tuple[int, int] = (0, 0)
    """Version and time of the newest feed."""
    baseline: BaselineLead = msgspec.field(default_factory=BaselineLead)
    pending: dict[str, PendingPush] = msgspec.field(default_factory=dict)
    sent_at: list[int] = msgspec.field(default_factory=list)
    """Send times of the last day, in ms since the epoch."""
    decisions: dict[str, tuple[NotificationStatus, int | None]] = msgspec.field(default_factory=dict)  # wire
    """The last decision on each notification and its due time; newest last."""
    event_hours: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """Number of `event_ids` per hour; see `streams.core.dedup`."""
    since: int = 0
    """Append time of the first record folded, in ms since the epoch; 0 if it was not noted."""
    arms: dict[str, str] = msgspec.field(default_factory=dict)
    """Arms of the user by experiment, as the newest feed and, for paused arms, earlier ones have named them."""

    @property
    def is_new(self) -> bool:
        """Return whether nothing was folded yet."""
        return not self.version and self.position is None and self.feed == (0, 0)

    def is_closed(self, about: str) -> bool:
        """Return whether a notification is waiting or has a final status."""
        return about in self.pending or (about in self.decisions and self.decisions[about][0] in _FINAL)


def decide(
    state: PushState, candidate: Notification, outcome: Outcome, now_ms: int, *, pending: PendingPush | None = None
) -> Iterator[Notification]:
    """Record a decision, and yield it unless it repeats the last one. Without `pending`, the wait ends."""
    status, reason = outcome
    due_at = pending.due_at if pending else None
    if pending is None:
        state.pending.pop(candidate.notification_id, None)
    previous = state.decisions.pop(candidate.notification_id, None)
    state.decisions[candidate.notification_id] = status, due_at
    evict_oldest(state.decisions, _DECISIONS)
    if previous != (status, due_at):
        yield msgspec.structs.replace(candidate, status=status, reason=reason, due_at=due_at, decided_at=now_ms)


def expire_excess(state: PushState, now_ms: int) -> Iterator[Notification]:
    """Expire the notifications that have waited longest until the rest fits the budget, and yield the decisions."""
    sizes = {name: len(msgspec.msgpack.encode(waiting)) for name, waiting in state.pending.items()}
    excess = sum(sizes.values()) - _WAITING_BYTES
    for name, size in sizes.items():
        if excess <= 0:
            return
        excess -= size
        outcome: Outcome = "expired", "too many newer notifications wait"
        yield from decide(state, state.pending[name].notification, outcome, now_ms)


def due_at(state: PushState) -> int | None:
    """Return the earliest due time of the waiting notifications."""
    return min((waiting.due_at for waiting in state.pending.values()), default=None)


def rejection_reason(state: PushState, notification: Notification, tokens: Collection[str]) -> Outcome | None:
    """Return the outcome if a user cannot or does not want to get a notification on some devices; None otherwise."""
    categories, category = state.preferences.categories, notification.category
    if not tokens:
        return "unregistered", "no device is registered"
    if categories is not None and category and category not in categories:
        return "unwanted", f"{category} is not among the wanted categories"
    return None


def snapshot(state: PushState, now_ms: int) -> Devices:
    """Return the user's devices and preferences."""
    return Devices(
        user_id=state.user_id,
        devices=list(state.devices.values()),
        preferences=state.preferences,
        changed_at=now_ms,
    )


def registration(state: PushState, token: str) -> PushToken:
    """Return the registration of one of the user's devices."""
    device = state.devices[token]
    return PushToken(
        token=token, user_id=state.user_id, registered_at=device.registered_at, appended_at=device.appended_at
    )


def evict_oldest(entries: dict[str, Any], max_entries: int, *, budget: int | None = None) -> int:
    """Evict the oldest entries, and return the number evicted for lack of bytes.

    Args:
        entries: Entries by key, the oldest first.
        max_entries: Maximum number of entries.
        budget: Byte budget of the keys, where these can be long.
    """
    evicted_count = 0
    while len(entries) > max_entries or (budget is not None and total(entries) > budget):
        evicted_count += len(entries) <= max_entries
        del entries[next(iter(entries))]
    return evicted_count
