"""Stated profiles: changes by users merge field by field, in any order of arrival.

A profile can be stated as a whole on `profiles`, changed on `profile-updates`, and forgotten on either. Each field has
the time of its statement, and the newest statement of a field wins (a last-writer-wins register per field: Shapiro et
al., "A comprehensive study of convergent and commutative replicated data types", INRIA RR-7506, 2011).

    profile-updates ─┐
                     ├─▶ merge ─▶ profiles ─▶ user agent, log, trainer
    profiles ────────┘
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec.structs import replace

from schemas.codec import DecodeError
from schemas.limit import PROFILE_FIELDS
from schemas.types import Profile, ProfileUpdate
from streams.core.dedup import fingerprint, lru_add
from streams.core.position import Position

FORGOTTEN_AT = "forgotten_at"
"""Header of a tombstone: the time when the profile was forgotten, in ms since the epoch."""
_MAX_BYTES = 512 << 10
"""Largest merged profile: more than API calls can add up to, half of the size limit of a message."""
_EVENT_IDS = 256
_EMPTY = Profile(event_id="", user_id="", occurred_at=0)


class Tombstone(Protocol):
    """A null value, as read from its partition."""

    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...]


class ProfileState(msgspec.Struct, array_like=True):
    """The state of one user's profile. New fields are added at the end, with a default."""

    user_id: str
    profile: Profile | None = None
    """The merged profile, as published; None without any statement."""
    forgotten_at: int = -1
    """Time of the last forgetting, in ms since the epoch; earlier statements stay forgotten."""
    position: tuple[int, int] | None = None
    event_ids: dict[int, None] = msgspec.field(default_factory=dict)
    since: int = 0
    """Append time of the first record folded, in ms since the epoch; 0 if it was not noted."""

    @property
    def is_new(self) -> bool:
        """Return whether nothing was folded yet."""
        return self.profile is None and self.forgotten_at < 0 and self.position is None


def fold_update(state: ProfileState, update: ProfileUpdate, position: Position) -> bool:
    """Merge a change; a repeat changes nothing. Of two statements with one time, the later in the topic wins.

    Returns whether the profile is to be published.

    Raises:
        DecodeError: the merged profile would be too large; the state stays as it is.
    """
    event_id = fingerprint(update.event_id)
    if position.repeats(state.position) or event_id in state.event_ids:
        return False
    at_ms = min(update.occurred_at, position.append_ms)
    if update.kind == "forget":
        _forget(state, at_ms)
        is_changed = True  # also without a profile here: one may be stored elsewhere
    else:
        times = _times(state)
        newer = {name: at_ms for name in update.fields if at_ms >= times.get(name, state.forgotten_at)}
        is_changed = _take(state, update, newer)
    state.position = position.after(state.position)
    lru_add(state.event_ids, event_id, _EVENT_IDS)
    return is_changed


def fold_profile(state: ProfileState, profile: Profile, position: Position) -> bool:
    """Merge a whole profile, ours or another producer's; return whether anything changed.

    Raises:
        DecodeError: as `fold_update`.
    """
    at_ms = min(profile.occurred_at, position.append_ms)
    stated_at = profile.stated_at or dict.fromkeys(PROFILE_FIELDS, at_ms)
    times = _times(state)
    newer = {
        name: at
        for name in PROFILE_FIELDS
        if name in stated_at and (at := min(stated_at[name], position.append_ms)) > times.get(name, state.forgotten_at)
    }
    return _take(state, profile, newer)


def fold_tombstone(state: ProfileState, record: Tombstone) -> bool:
    """Forget all statements made before a null value was appended; return whether anything changed.

    Our own tombstones, which have a header, carry only merged data and change nothing.
    """
    before = state.profile, state.forgotten_at
    if FORGOTTEN_AT not in dict(record.headers):
        _forget(state, record.timestamp)
    return before != (state.profile, state.forgotten_at)


def forgotten_at(record: Tombstone) -> int:
    """Return the time up to which a tombstone forgets, in ms since the epoch: from its header, else its append time."""
    header = dict(record.headers).get(FORGOTTEN_AT) or b""
    return min(int(header), record.timestamp) if header.isdigit() else record.timestamp


def _take(state: ProfileState, source: Profile | ProfileUpdate, times: dict[str, int]) -> bool:
    """Update fields, each with the time of its statement."""
    if not times:
        return False
    stated_at = _times(state) | times
    merged_profile = replace(
        state.profile or replace(_EMPTY, user_id=state.user_id),
        event_id=source.event_id,
        occurred_at=max(stated_at.values()),
        stated_at=stated_at,
        **{name: getattr(source, name) for name in times},
    )
    size = len(msgspec.msgpack.encode(merged_profile))
    if size > _MAX_BYTES:
        raise DecodeError("too_large", f"the profile would have {size} bytes of at most {_MAX_BYTES}")
    state.profile = merged_profile
    return True


def _forget(state: ProfileState, at_ms: int) -> None:
    state.forgotten_at = max(state.forgotten_at, at_ms)
    if state.profile is None:
        return
    times = state.profile.stated_at
    newer = {name: at for name, at in times.items() if at > at_ms}
    defaults = {name: getattr(_EMPTY, name) for name in times if name not in newer}
    state.profile = replace(state.profile, stated_at=newer, **defaults) if newer else None


def _times(state: ProfileState) -> dict[str, int]:
    """Return the time of each field's statement."""
    return {} if state.profile is None else state.profile.stated_at
