"""The demo's data set, prepared for one run."""

from __future__ import annotations

from collections import Counter

import msgspec

from loaders import Dataset, event_id
from schemas.limit import RATING_SCALE

_SHOWN_ACTIVITY = 100
"""Number of interactions of a typical user, whose feed is shown if there is no user alex."""


def with_new_ids(data: Dataset, run_at_ms: int, *, rating_scale: float) -> Dataset:
    """Return a data set with event ids of this run, so that a second run is not discarded as duplicates.

    Args:
        data: The data set, with ratings up to 5.
        run_at_ms: The time of the run, in ms since the epoch.
        rating_scale: The highest rating of this deployment; ratings are scaled to it.
    """
    replace = msgspec.structs.replace
    return Dataset(
        name=data.name,
        items=data.items,
        profiles=[
            replace(profile, event_id=event_id(profile.occurred_at, run_at_ms, profile.event_id))
            for profile in data.profiles
        ],
        interactions=[
            replace(
                event,
                event_id=event_id(event.occurred_at, run_at_ms, event.event_id),
                value=None if event.value is None else event.value * rating_scale / RATING_SCALE,
            )
            for event in data.interactions
        ],
        labels=data.labels,
        bad_lines=data.bad_lines,
    )


def first_users(data: Dataset, count: int) -> Dataset:
    """Return a data set reduced to its first users."""
    user_ids = set(data.user_ids[:count])
    return Dataset(
        name=data.name,
        items=data.items,
        profiles=[profile for profile in data.profiles if profile.user_id in user_ids],
        interactions=[event for event in data.interactions if event.user_id in user_ids],
        labels={user_id: label for user_id, label in data.labels.items() if user_id in user_ids},
        bad_lines=data.bad_lines,
    )


def shown_user(data: Dataset) -> str:
    """Return the user whose feed is shown: alex, or a user of typical activity."""
    counts = Counter(event.user_id for event in data.interactions)
    if "alex" in counts:
        return "alex"
    return min(counts, key=lambda user_id: (abs(counts[user_id] - _SHOWN_ACTIVITY), user_id))


def has_city(data: Dataset, user_id: str) -> bool:
    """Return whether the city of a user is known; only then events and places can be fetched for them."""
    return any(profile.user_id == user_id and profile.city for profile in data.profiles)
