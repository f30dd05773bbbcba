"""What is played: a data set, made ready for this run."""

from __future__ import annotations

from collections import Counter

import msgspec

from loaders import Dataset, event_id
from models.weight import RATING_SCALE

_SHOWN_ACTIVITY = 100
"""Interactions of someone whose feed is worth showing, where nobody is named alex."""


def renewed(data: Dataset, run_at_ms: int, *, rating_scale: float = RATING_SCALE) -> Dataset:
    """Return a data set with event ids of this run, so that playing it a second time is not taken for repeats.

    Its ratings, which are of 5, are put on the scale of this run.
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
    """Return the part of a data set that is about its first users."""
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
    """Return whose feed to show: alex, or someone of usual activity."""
    counts = Counter(event.user_id for event in data.interactions)
    if "alex" in counts:
        return "alex"
    return min(counts, key=lambda user_id: (abs(counts[user_id] - _SHOWN_ACTIVITY), user_id))


def has_city(data: Dataset, user_id: str) -> bool:
    """Say whether it is known where someone is: only for who is somewhere there are events and places."""
    return any(profile.user_id == user_id and profile.city for profile in data.profiles)
