"""Triggers that follow from what happened. Their ids follow from it, too: what fires again is known as a repeat."""

from __future__ import annotations

from uuid import UUID, uuid5

from schemas.types import Location, Trigger
from streams.core.schedule import Slot

_NAMESPACE = UUID("5b5d0c1e-6b0f-4b7e-9a53-0d6c1f2f8a11")


def timed(user_id: str, slot: Slot) -> Trigger:
    """Return the trigger of a slot for a user."""
    return Trigger(
        event_id=_derived("time", user_id, slot.day.isoformat(), slot.reason),
        user_id=user_id,
        kind="time",
        reason=slot.reason,
        occurred_at=slot.at_ms,
    )


def moved(ping: Location, reason: str) -> Trigger:
    """Return the trigger of a move that a ping told."""
    return Trigger(
        event_id=_derived("location", ping.user_id, ping.event_id),
        user_id=ping.user_id,
        kind="location",
        reason=reason,
        occurred_at=ping.occurred_at,
    )


def _derived(*parts: str) -> str:
    return str(uuid5(_NAMESPACE, "\0".join(parts)))
