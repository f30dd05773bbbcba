"""Exposures: the first ranking of each user under an arm of an experiment.

The topic is folded into the users' states, so that a worker that takes a user over does not publish them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from schemas.types import Exposure
from streams.core.dedup import fingerprint, lru_add


def exposure_of(user_id: str, experiment_id: str, arm: str, *, defined_at: int, first_at: int) -> Exposure:
    """Return an exposure, whose id depends on the user, the experiment and the arm alone.

    Args:
        user_id: The user.
        experiment_id: The experiment.
        arm: The arm.
        defined_at: Version of the definition, in ms since the epoch.
        first_at: Time of the ranking, in ms since the epoch.
    """
    digest = blake2b(f"{experiment_id}\n{arm}\n{user_id}".encode(), digest_size=16).hexdigest()
    return Exposure(
        event_id=digest,
        user_id=user_id,
        experiment_id=experiment_id,
        arm=arm,
        defined_at=defined_at,
        first_at=first_at,
    )


class ExposureLog:
    """The exposures that a process knows to be published, by user; the users ranked longest ago are forgotten first."""

    def __init__(self, *, capacity: int = 200_000) -> None:
        """Start empty.

        Args:
            capacity: Largest number of users.
        """
        self._capacity = capacity
        self._users: dict[str, None] = {}
        self._ids: dict[str, set[int]] = {}

    def add(self, exposure: Exposure) -> bool:
        """Add an exposure; return whether it is new."""
        event_ids, event_id = self._ids_of(exposure.user_id), fingerprint(exposure.event_id)
        is_new = event_id not in event_ids
        event_ids.add(event_id)
        return is_new

    def restore(self, user_id: str, event_ids: Iterable[int]) -> None:
        """Add exposures of a user, by the fingerprints of their ids."""
        self._ids_of(user_id).update(event_ids)

    def _ids_of(self, user_id: str) -> set[int]:
        """Return the known exposures of a user, who is now the last one to be forgotten."""
        oldest = lru_add(self._users, user_id, self._capacity)
        if oldest is not None:
            del self._ids[oldest]
        return self._ids.setdefault(user_id, set())

    def forget_user(self, user_id: str) -> None:
        """Forget a user."""
        self._users.pop(user_id, None)
        self._ids.pop(user_id, None)
