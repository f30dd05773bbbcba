"""Triggers with ids derived from their causes, so that a trigger that fires again is recognised as a repeat."""

from __future__ import annotations

from schemas.types import Location, Trigger
from streams.core.dedup import deterministic_id
from streams.core.triggers.schedule import ScheduleSlot


def scheduled_trigger(user_id: str, slot: ScheduleSlot) -> Trigger:
    """Return the trigger of a slot for a user."""
    return Trigger(
        event_id=deterministic_id("time", user_id, slot.day.isoformat(), slot.reason),
        user_id=user_id,
        kind="time",
        reason=slot.reason,
        occurred_at=slot.at_ms,
    )


def rerank_trigger(user_id: str, at_ms: int) -> Trigger:
    """Return the trigger that has the feed of an absent user ranked again at a time, in ms since the epoch."""
    return Trigger(
        event_id=deterministic_id("rerank", user_id, str(at_ms)),
        user_id=user_id,
        kind="rerank",
        reason="away",
        occurred_at=at_ms,
    )


def new_item_trigger(user_id: str, item_id: str, at_ms: int) -> Trigger:
    """Return the trigger that has a user ranked again for a new item at a time, in ms since the epoch."""
    return Trigger(
        event_id=deterministic_id("new-item", user_id, item_id),
        user_id=user_id,
        kind="rerank",
        reason="new-item",
        occurred_at=at_ms,
    )


def geofence_trigger(ping: Location, reason: str) -> Trigger:
    """Return the trigger of a move to a ping's cell."""
    return Trigger(
        event_id=deterministic_id("location", ping.user_id, ping.event_id),
        user_id=ping.user_id,
        kind="location",
        reason=reason,
        occurred_at=ping.occurred_at,
    )
