"""Delivery of pushes: the release of waiting notifications, and the results of sending them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from domain.timestamp import DAY_MS
from schemas.types import Notification, NotificationStatus
from streams.core.params import PushParams
from streams.core.push.push_state import Outcome, PendingPush, PushState, decide, rejection_reason
from streams.core.push.quiet_hours import quiet_interval

_LONGEST_PAUSE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification to be sent now."""

    notification: Notification
    tokens: Sequence[str]
    ttl_s: int
    """Lifetime in seconds: a phone that was off gets the notification late."""


class Release(NamedTuple):
    """The decisions and deliveries of a release."""

    decisions: list[Notification]
    deliveries: list[Delivery]


class SendResult(Protocol):
    """The result of sending to one device."""

    @property
    def kind(self) -> str:
        """Return delivered, gone (the device no longer exists), refused or later."""

    @property
    def reason(self) -> str:
        """Return the reason, in words."""

    @property
    def pause_s(self) -> float:
        """Return the minimum wait before a retry, in seconds."""


def due_items(state: PushState, now_ms: int) -> set[str]:
    """Return the catalog items of the due notifications."""
    due = (waiting.notification.item_id for waiting in _due(state, now_ms) if waiting.is_listed)
    return {item_id for item_id in due if item_id is not None}


def release(state: PushState, *, params: PushParams, now_ms: int, unavailable_items: Collection[str] = ()) -> Release:
    """Release due notifications in place, the most valuable first: each is handed out, waits on or is given up.

    A notification handed out keeps waiting until its delivery is recorded, so that a crash in between releases it
    again.

    Args:
        state: The push state of the user.
        params: The parameters of pushes.
        now_ms: The time, in ms since the epoch.
        unavailable_items: Those of `due_items` that have left the catalog or are out of stock.
    """
    result = Release([], [])
    state.sent_at = [at_ms for at_ms in state.sent_at if at_ms > now_ms - DAY_MS]
    gate = _Gate(state, params, now_ms)
    for waiting in sorted(gate.due, key=_value, reverse=True):
        tokens = [token for token in waiting.tokens or state.devices if token in state.devices]
        outcome = (
            _withdrawn(waiting, unavailable_items)
            or rejection_reason(state, waiting.notification, tokens)
            or gate.admit(waiting)
        )
        if outcome is None:
            result.deliveries.append(Delivery(waiting.notification, tokens, gate.ttl_s(waiting)))
        else:
            pending = waiting if outcome[0] == "quiet_hours" else None
            result.decisions.extend(decide(state, waiting.notification, outcome, now_ms, pending=pending))
    return result


def record_delivery(
    state: PushState, delivery: Delivery, answers: Mapping[str, SendResult] | None, *, params: PushParams, now_ms: int
) -> list[Notification]:
    """Record the results of a delivery in place, by token; `answers` is None without a push service."""
    waiting = state.pending[delivery.notification.notification_id]
    if answers is None:
        state.sent_at.append(now_ms)
        outcome: Outcome = "not_configured", "FCM_SERVICE_ACCOUNT is not set"
        return list(decide(state, waiting.notification, outcome, now_ms))
    _forget(state, [token for token, answer in answers.items() if answer.kind == "gone"])
    before = waiting.notification.reached
    reached_count = before + sum(answer.kind == "delivered" for answer in answers.values())
    if reached_count and not before:
        state.sent_at.append(now_ms)
    waiting.notification = msgspec.structs.replace(waiting.notification, reached=reached_count)
    again = _put_off(waiting, answers, params, now_ms)
    outcome = _status(answers, reached_count, again=again), _result_text(answers, reached_count)
    return list(decide(state, waiting.notification, outcome, now_ms, pending=waiting if again else None))


class _Gate:
    """The limits on sending to a user at a time."""

    def __init__(self, state: PushState, params: PushParams, now_ms: int) -> None:
        self._params, self._now_ms = params, now_ms
        self._room = params.daily_cap - len(state.sent_at)
        hours = state.preferences.quiet_hours
        self._quiet_interval = quiet_interval(hours, now_ms) if hours else None
        self.due = _due(state, now_ms)
        self._slots = params.daily_cap - (len(state.pending) - len(self.due))
        """No more notifications are held than could be sent afterwards."""

    def admit(self, waiting: PendingPush) -> Outcome | None:
        """Count a notification against the limits, or hold it in place; return the outcome that forbids it, or None.

        A notification that has reached a device does not count again.
        """
        costs = 0 if waiting.notification.reached else 1
        if self._now_ms >= waiting.expires_at:
            return _overdue(waiting, self._params)
        if self._quiet_interval and self._quiet_interval.quiet and self._slots >= costs:
            self._slots -= costs
            waiting.due_at = min(self._quiet_interval.until_ms, waiting.expires_at)
            return "quiet_hours", "held until the quiet hours end"
        if (self._quiet_interval and self._quiet_interval.quiet) or self._room < costs:
            return "capped", f"no more than {self._params.daily_cap} are sent in 24 hours"
        self._room -= costs
        return None

    def ttl_s(self, waiting: PendingPush) -> int:
        """Return the lifetime of a notification in seconds: until it expires, or the next quiet hours begin."""
        until_ms = (
            min(waiting.expires_at, self._quiet_interval.until_ms) if self._quiet_interval else waiting.expires_at
        )
        return (until_ms - self._now_ms) // 1_000


def _due(state: PushState, now_ms: int) -> list[PendingPush]:
    return [waiting for waiting in state.pending.values() if waiting.due_at <= now_ms]


def _withdrawn(waiting: PendingPush, unavailable_items: Collection[str]) -> Outcome | None:
    is_gone = waiting.is_listed and waiting.notification.item_id in unavailable_items
    return ("withdrawn", "its item has left the catalogue or is out of stock") if is_gone else None


def _forget(state: PushState, tokens: Sequence[str]) -> None:
    for token in tokens:
        if state.devices.pop(token, None):  # another push of the user may have removed it
            state.version += 1


def _put_off(waiting: PendingPush, answers: Mapping[str, SendResult], params: PushParams, now_ms: int) -> bool:
    """Schedule a retry for the devices not yet reached, if there is time; return whether there is."""
    waiting.tokens = [token for token, answer in answers.items() if answer.kind == "later"]
    backoff_s = min(params.retry_s * 2.0**waiting.attempts, _LONGEST_PAUSE_S)
    pause_s = max([backoff_s, *(answer.pause_s for answer in answers.values())])
    waiting.attempts += 1
    waiting.due_at = now_ms + round(1_000 * pause_s)
    return bool(waiting.tokens) and waiting.due_at < waiting.expires_at


def _status(answers: Mapping[str, SendResult], reached_count: int, *, again: bool) -> NotificationStatus:
    if reached_count:
        return "sent"
    if again:
        return "retrying"
    return "unregistered" if all(answer.kind == "gone" for answer in answers.values()) else "failed"


def _result_text(answers: Mapping[str, SendResult], reached_count: int) -> str:
    problems = dict.fromkeys(answer.reason for answer in answers.values() if answer.kind != "delivered")
    return "; ".join([f"{reached_count} device{'' if reached_count == 1 else 's'} reached", *problems])


def _overdue(waiting: PendingPush, params: PushParams) -> Outcome:
    if waiting.notification.reached:
        return "sent", f"{waiting.notification.reached} devices reached, the others not in time"
    minutes = params.max_delay_ms // 60_000
    return ("failed" if waiting.attempts else "expired"), f"it has waited for {minutes} minutes"


def _value(waiting: PendingPush) -> float:
    value = waiting.notification.value
    return math.inf if value is None else value
