"""Active users of a worker: the users to whom scheduled triggers are sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from domain.zone import zone_of
from schemas.types import Trigger
from streams.core.params import TriggerParams
from streams.core.triggers.schedule import due_slots
from streams.core.triggers.trigger_id import timed
from streams.core.user.user_state import UserState


class ActiveUser(NamedTuple):
    """The time zone and activity of a user. Times are in ms since the epoch."""

    timezone: str
    """Empty if the user has not stated it."""
    active_at: int
    woken_at: int
    """Time of the newest slot that took effect."""


FIELDS = ("user_id", "timezone", "watermark", "cell_at", "profile_at", "triggered")
"""The fields of a user's state that an active user derives from."""


def active_user(state: UserState) -> ActiveUser:
    """Return the active user for a state; only `FIELDS` of the state are read."""
    active_at = max(state.watermark, state.cell_at, state.profile_at)
    return ActiveUser(state.timezone, active_at, state.triggered.get("time", -1))


class ActiveUsers:
    """Active users by id. Users inactive for long are dropped, and return with their next event."""

    def __init__(self, params: TriggerParams) -> None:
        self._params = params
        self._users: dict[str, ActiveUser] = {}
        self._timezones: set[str] = set()

    def __len__(self) -> int:
        return len(self._users)

    def note(self, user_id: str, user: ActiveUser) -> None:
        """Store the newest activity of a user."""
        self._users[user_id] = user
        self._timezones.add(user.timezone)

    def recall(self, user_id: str, user: ActiveUser, *, now_ms: int) -> None:
        """Restore a user from storage, unless newer activity is known or the user is inactive."""
        if user_id not in self._users and not self._is_inactive(user, now_ms):
            self.note(user_id, user)

    def clear(self) -> None:
        """Remove all users."""
        self._users.clear()
        self._timezones.clear()

    def due(self, after_ms: int, upto_ms: int) -> Iterator[Trigger]:
        """Yield the triggers due in (after, upto]; users may be noted meanwhile."""
        schedule, default_timezone = self._params.schedule, self._params.default_timezone
        slots = {
            name: zone_slots
            for name in self._timezones
            if (zone_slots := due_slots(schedule, zone_of(name, default_timezone), after_ms, upto_ms))
        }
        for user_id, user in list(self._users.items()) if slots else ():
            for slot in slots.get(user.timezone, ()):
                if self._is_inactive(user, slot.at_ms):
                    self._forget(user_id, user)
                elif slot.at_ms > user.woken_at:
                    yield timed(user_id, slot)

    def _is_inactive(self, user: ActiveUser, at_ms: int) -> bool:
        return at_ms - user.active_at > self._params.inactive_ms

    def _forget(self, user_id: str, user: ActiveUser) -> None:
        if self._users.get(user_id) is user:
            del self._users[user_id]
