"""Prefetch requests: derived from a trigger and its user's state, one per content category."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

import h3
import msgspec

from domain.cell import is_cell
from domain.gazetteer import find_city, nearest_city
from domain.identity import city_key
from domain.zone import zone_of
from models.weight import is_positive
from schemas.text import cleaned
from schemas.types import FetchRequest, Trigger
from streams.core.dedup import deterministic_id
from streams.core.params import PrefetchParams
from streams.core.user.user_state import UserState

PromptField = Literal[
    "where",
    "when",
    "interests",
    "keywords",
    "liked",
    "muted",
    "demographics",
    "travel_history",
    "relationship_status",
]
"""Fields of a user that a language model's prompt may contain."""
PREFETCH_KINDS = frozenset({"time", "location", "refresh"})
"""Kinds of triggers that request content."""
_INTERESTS, _KEYWORDS, _LIKED, _MUTED, _KNOWN = 10, 10, 10, 20, 200
_CHARS = 200
_DIGITS = 6
_PARTS_OF_DAY = ((5, "night"), (12, "morning"), (17, "afternoon"), (22, "evening"), (24, "night"))
"""Hour at which each part of the day ends, and its name."""

PromptFields = str | list[str]


@dataclass(frozen=True, slots=True)
class ContentLocation:
    """A user's location at the granularity of content; a city only where no ping locates the user."""

    cell: str | None = None
    city: str | None = None

    @property
    def key(self) -> str:
        """Return the cache key of this location; empty for an unknown one."""
        return self.cell or city_key(self.city).replace(" ", "-")

    def __str__(self) -> str:
        """Return the location for a prompt: the city's name, and never coordinates, which would come back in titles."""
        return self.city or ""


class FetcherSpec(Protocol):
    """The properties of a fetcher that a request depends on."""

    @property
    def category(self) -> str:
        """Return the category of its content."""
        ...

    @property
    def depends_on_location(self) -> bool:
        """Return whether its content depends on a location."""
        ...

    @property
    def prompt_fields(self) -> Sequence[PromptField]:
        """Return the fields of a user that its prompt contains."""
        ...


def content_location(state: UserState, params: PrefetchParams) -> ContentLocation:
    """Return a user's location: by the newest ping, with the name of the surrounding city, or by the profile.

    A city that is ambiguous without the user's time zone gets an unambiguous label.
    """
    if state.cell is not None and is_cell(state.cell):
        resolution = min(params.fetch_location_resolution, h3.get_resolution(state.cell))
        city = nearest_city(*h3.cell_to_latlng(state.cell), radius_km=params.nearby_radius_km)
        return ContentLocation(h3.cell_to_parent(state.cell, resolution), city.label if city else None)
    profile_city = find_city(state.city, state.timezone) if state.city else None
    if profile_city is None or profile_city == find_city(state.city or ""):
        return ContentLocation(city=state.city)
    return ContentLocation(city=profile_city.label)


def build_fetch_requests(
    trigger: Trigger,
    state: UserState,
    location: ContentLocation,
    fetchers: Iterable[FetcherSpec],
    *,
    title_of: Callable[[str], str],
    params: PrefetchParams,
) -> list[FetchRequest]:
    """Return the requests for a user, one per category; without a location, none that depend on one.

    Args:
        trigger: The trigger.
        state: The state of its user.
        location: The location of the user.
        fetchers: The available fetchers.
        title_of: Returns the title of an item by id; empty if it is unknown.
        params: The parameters of prefetch requests.
    """
    when = local_time(trigger.occurred_at, zone_of(state.timezone, params.default_timezone))
    fields = prompt_fields(state, location, when=when, title_of=title_of)
    words = dict.fromkeys([*fields.get("interests", ()), *fields.get("keywords", ())])
    requests = []
    for fetcher in fetchers:
        if fetcher.depends_on_location and not location.key:
            continue
        about = {
            field: fields[field] for field in fetcher.prompt_fields if field in params.prompt_fields and field in fields
        }
        requests.append(
            FetchRequest(
                event_id=deterministic_id(trigger.user_id, trigger.event_id, fetcher.category),
                user_id=trigger.user_id,
                category=fetcher.category,
                trigger_id=trigger.event_id,
                reason=trigger.reason,
                cell=location.cell if fetcher.depends_on_location else None,
                city=location.city if fetcher.depends_on_location else None,
                local_time=when,
                about=msgspec.json.encode({"category": fetcher.category} | about).decode(),
                words=list(words),
                known=list(state.seen)[-_KNOWN:],
                occurred_at=trigger.occurred_at,
            )
        )
    return requests


def prompt_fields(
    state: UserState, location: ContentLocation, *, when: str, title_of: Callable[[str], str]
) -> dict[PromptField, PromptFields]:
    """Return the known fields of a user, in words; unknown fields are absent."""
    fields: dict[PromptField, PromptFields] = {
        "where": _line(str(location)),
        "when": when,
        "interests": _lines(_interests(state), _INTERESTS),
        "keywords": _lines([*state.about.get("keywords", "").split(","), *state.queries], _KEYWORDS),
        "liked": _lines((title_of(item) for item, weight, _ in reversed(state.recent) if is_positive(weight)), _LIKED),
        "muted": _lines(state.muted, _MUTED),
        "demographics": _line(state.segment),
        "travel_history": _line(state.about.get("travel_history", "")),
        "relationship_status": _line(state.about.get("relationship_status", "")),
    }
    return {field: value for field, value in fields.items() if value}


def local_time(at_ms: int, zone: ZoneInfo) -> str:
    """Return the day and part of the day, such as `Friday evening, 2026-11-20`."""
    at = datetime.fromtimestamp(at_ms / 1000, zone)
    part = next(name for end, name in _PARTS_OF_DAY if at.hour < end)
    return f"{at:%A} {part}, {at:%Y-%m-%d}"


def _interests(state: UserState) -> list[str]:
    """Return stated preferences, then topics and categories by affinity."""
    by_affinity = [
        name
        for sums in (state.topics, state.categories)
        for name in sorted(sums, key=lambda name: (-round(sums[name], _DIGITS), name))
        if sums[name] > 0
    ]
    return [*state.preferred, *by_affinity]


def _lines(texts: Iterable[str], most: int) -> list[str]:
    return list(dict.fromkeys(line for text in texts if (line := _line(text))))[:most]


def _line(text: str) -> str:
    """Return one printable line: user input must neither break a record nor dominate the rest of a prompt."""
    return " ".join(cleaned(text).split())[:_CHARS].rstrip()
