"""Whom to wake when: the users of a worker who have not been away for long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from schemas.types import Trigger
from schemas.zone import zone_of
from streams.core.params import TriggerParams
from streams.core.triggers.schedule import due_slots
from streams.core.triggers.trigger_id import timed
from streams.core.user.user_state import UserState


class ActiveUser(NamedTuple):
    """What is to be known of a user to wake them. Times are in ms since the epoch."""

    timezone: str
    """Empty when the user has not said."""
    active_at: int
    woken_at: int
    """Of the newest slot that was acted on."""


FIELDS = ("user_id", "timezone", "watermark", "cell_at", "profile_at", "triggered")
"""What of a user's state a sleeper is made of."""


def active_user(state: UserState) -> ActiveUser:
    """Return what is to be known of a user; only `FIELDS` of the state are read."""
    active_at = max(state.watermark, state.cell_at, state.profile_at)
    return ActiveUser(state.timezone, active_at, state.triggered.get("time", -1))


class ActiveUsers:
    """Sleepers by user. Who has been away for long is forgotten, and noted again with the next event."""

    def __init__(self, params: TriggerParams) -> None:
        self._params = params
        self._users: dict[str, ActiveUser] = {}
        self._timezones: set[str] = set()

    def __len__(self) -> int:
        return len(self._users)

    def note(self, user_id: str, sleeper: ActiveUser) -> None:
        """Take in what is newest of a user."""
        self._users[user_id] = sleeper
        self._timezones.add(sleeper.timezone)

    def recall(self, user_id: str, sleeper: ActiveUser, *, now_ms: int) -> None:
        """Take in what was stored of a user, unless something newer is known or it is long ago."""
        if user_id not in self._users and not self._is_away(sleeper, now_ms):
            self.note(user_id, sleeper)

    def clear(self) -> None:
        """Forget everybody."""
        self._users.clear()
        self._timezones.clear()

    def due(self, after_ms: int, upto_ms: int) -> Iterator[Trigger]:
        """Yield what is due in (after, upto]; users may be noted meanwhile."""
        slots = {
            name: zone_slots
            for name in self._timezones
            if (zone_slots := due_slots(self._params.schedule, zone_of(name, self._params.timezone), after_ms, upto_ms))
        }
        for user_id, user in list(self._users.items()) if slots else ():
            for slot in slots.get(user.timezone, ()):
                if self._is_away(user, slot.at_ms):
                    self._forget(user_id, user)
                elif slot.at_ms > user.woken_at:
                    yield timed(user_id, slot)

    def _is_away(self, sleeper: ActiveUser, at_ms: int) -> bool:
        return at_ms - sleeper.active_at > self._params.away_ms

    def _forget(self, user_id: str, sleeper: ActiveUser) -> None:
        if self._users.get(user_id) is sleeper:
            del self._users[user_id]
