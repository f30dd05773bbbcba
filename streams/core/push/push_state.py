"""What is kept of a user for pushes, and how a decision is noted.

    asked for, or stands out in a feed ─▶ wish ─▶ waiting ─release─▶ delivery ─settle─▶ sent
                                           │        ▲  │               │  │
              repeated, unregistered ◀─────┤        │  ├─▶ quiet_hours │  └──▶ failed, unregistered
              unwanted, not_worth_it ◀─────┘        │  ├─▶ capped      ▼
                                                    │  ├─▶ expired   retrying
                                                    │  └─▶ withdrawn    │
                                                    └──────────────────┘

Candidates are made in `streams.core.push.candidates`, the rest is in `streams.core.push.delivery`. Every accepted
candidate waits, if only for an instant: a push that is held, one to be retried and one that a crash interrupted are the
same thing.
A notification has one id per user and item, or per request where it is about no item, and once it was sent, failed or
expired it is never sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from schemas.types import Device, Devices, Notification, NotificationStatus, PushPreferences, PushToken
from streams.core.byte_budget import total
from streams.core.push.value import BaselineLead

_FINAL: frozenset[NotificationStatus] = frozenset({"sent", "failed", "expired", "not_configured"})
_TOLD = 500
_WAITING_BYTES = 256 << 10
"""Bytes of what waits: a state is one record of its changelog."""

Outcome = tuple[NotificationStatus, str]
"""What is decided, and why."""


class PendingPush(msgspec.Struct, array_like=True):
    """A notification on its way."""

    notification: Notification
    due_at: int
    expires_at: int
    tokens: list[str] = msgspec.field(default_factory=list)
    """Devices that it has still to reach; none for all that there are."""
    attempts: int = 0
    is_listed: bool = False
    """Whether the catalogue held its item when it began to wait: then it is not sent once the item is gone."""


class PushState(msgspec.Struct, array_like=True):
    """Everything kept of one user. New fields are added at the end, with a default."""

    user_id: str
    devices: dict[str, Device] = msgspec.field(default_factory=dict)
    """By token, longest registered first."""
    preferences: PushPreferences = msgspec.field(default_factory=PushPreferences)
    version: int = 0
    """Goes up whenever devices or preferences change."""
    position: tuple[int, int] | None = None
    event_ids: dict[int, None] = msgspec.field(default_factory=dict)
    feed: tuple[int, int] = (0, 0)
    """Version and time of the newest feed seen."""
    usual: BaselineLead = msgspec.field(default_factory=BaselineLead)
    waiting: dict[str, PendingPush] = msgspec.field(default_factory=dict)
    sent_at: list[int] = msgspec.field(default_factory=list)
    """Times of the last day."""
    told: dict[str, tuple[NotificationStatus, int | None]] = msgspec.field(default_factory=dict)  # wire
    """What was decided of each notification last, and until when; newest last."""
    event_hours: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """How many of `event_ids` came in which hour; see `streams.core.dedup`."""

    def is_closed(self, about: str) -> bool:
        """Say whether a notification is on its way or done with."""
        return about in self.waiting or (about in self.told and self.told[about][0] in _FINAL)


def decide(
    state: PushState, candidate: Notification, outcome: Outcome, now_ms: int, *, pending: PendingPush | None = None
) -> Iterator[Notification]:
    """Note a decision, and yield it unless it is the one noted last. Without `held`, nothing waits any more."""
    status, reason = outcome
    due_at = pending.due_at if pending else None
    if pending is None:
        state.waiting.pop(candidate.notification_id, None)
    previous = state.told.pop(candidate.notification_id, None)
    state.told[candidate.notification_id] = status, due_at
    evict_oldest(state.told, _TOLD)
    if previous != (status, due_at):
        yield msgspec.structs.replace(candidate, status=status, reason=reason, due_at=due_at, decided_at=now_ms)


def crowd_out(state: PushState, now_ms: int) -> Iterator[Notification]:
    """Give up what has waited longest where more waits than a state has room for, and yield the decisions."""
    sizes = {name: len(msgspec.msgpack.encode(waiting)) for name, waiting in state.waiting.items()}
    excess = sum(sizes.values()) - _WAITING_BYTES
    for name, size in sizes.items():
        if excess <= 0:
            return
        excess -= size
        outcome: Outcome = "expired", "too many newer notifications wait"
        yield from decide(state, state.waiting[name].notification, outcome, now_ms)


def due_at(state: PushState) -> int | None:
    """Return when the first of what waits is due."""
    return min((waiting.due_at for waiting in state.waiting.values()), default=None)


def rejection_reason(state: PushState, notification: Notification, tokens: Collection[str]) -> Outcome | None:
    """Return why a user cannot or does not want to have a notification on some devices, if there is a reason."""
    categories, category = state.preferences.categories, notification.category
    if not tokens:
        return "unregistered", "no device is registered"
    if categories is not None and category and category not in categories:
        return "unwanted", f"{category} is not among the wanted categories"
    return None


def snapshot(state: PushState, now_ms: int) -> Devices:
    """Return where and when the user may be reached."""
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


def evict_oldest(entries: dict[str, Any], most: int, *, budget: int | None = None) -> int:
    """Let the oldest entries give way, and return how many did for lack of bytes.

    Args:
        entries: Entries by key, the oldest first.
        most: Entries that are kept at most.
        budget: Bytes of their keys, where these can be long.
    """
    dropped = 0
    while len(entries) > most or (budget is not None and total(entries) > budget):
        dropped += len(entries) <= most
        del entries[next(iter(entries))]
    return dropped
