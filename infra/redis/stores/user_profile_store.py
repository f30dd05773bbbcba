"""Read model of users: inferred profiles at `portrait:{user_id}`, stated ones at `profile:{user_id}`.

Locations are separate, at `place:{user_id}`: they affect recommendations, but no endpoint returns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import msgspec
from redis.asyncio import Redis

from domain.nearby import GeoLocation, geo_location
from domain.timestamp import DAY_S
from infra.redis.coalescer import Coalescer
from infra.redis.connection import store_errors
from schemas.types import Features, Profile, RecentItem

FOUND, STATED, PLACE = "portrait:", "profile:", "place:"
_TTL_S = 90 * DAY_S
_RECENT = 20


class InferredProfile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The readable part of a user's features, without the location. Times are in ms since the epoch."""

    user_id: str
    version: int
    watermark: int
    event_count: int
    segment: str = ""
    categories: dict[str, float] = {}
    topics: dict[str, float] = {}
    sources: dict[str, float] = {}
    hours: list[float] = []
    """Activity by hour of the day in UTC."""
    counts: dict[str, int] = {}
    recent: list[RecentItem] = []
    """The last items, newest first."""
    queries: list[str] = []
    city: str | None = None
    interactions_offset: int = -1
    """Offset of the newest interaction behind it, in the user's partition; -1 if none is known."""


class UserProfile(NamedTuple):
    """The inferred and the stated profile of a user, each of which may be missing."""

    inferred_profile: InferredProfile | None
    stated_profile: Profile | None


class UserProfileStore(Protocol):
    """Profiles of users. All methods raise `StoreError` if the store does not answer."""

    async def write_inferred(self, features: Sequence[Features]) -> None:
        """Replace inferred profiles; the last one of a user wins."""
        ...

    async def write_stated(self, profiles: Sequence[Profile]) -> None:
        """Replace stated profiles; the last one of a user wins."""
        ...

    async def forget_stated(self, user_ids: Sequence[str]) -> None:
        """Remove stated profiles."""
        ...

    async def read(self, user_id: str) -> UserProfile:
        """Return the profiles of a user."""
        ...

    async def location(self, user_id: str) -> GeoLocation:
        """Return the location of a user, as far as it is known."""
        ...


class MemoryUserProfileStore:
    """Profiles in memory."""

    def __init__(self) -> None:
        self._inferred_profiles: dict[str, InferredProfile] = {}
        self._stated_profiles: dict[str, Profile] = {}
        self._cells: dict[str, str | None] = {}

    async def write_inferred(self, features: Sequence[Features]) -> None:
        """Replace inferred profiles."""
        self._inferred_profiles |= {one.user_id: _inferred_profile(one) for one in features}
        self._cells |= {one.user_id: one.cell for one in features}

    async def write_stated(self, profiles: Sequence[Profile]) -> None:
        """Replace stated profiles."""
        self._stated_profiles |= {one.user_id: one for one in profiles}

    async def forget_stated(self, user_ids: Sequence[str]) -> None:
        """Remove stated profiles."""
        for user_id in user_ids:
            self._stated_profiles.pop(user_id, None)

    async def read(self, user_id: str) -> UserProfile:
        """Return the profiles of a user."""
        return UserProfile(self._inferred_profiles.get(user_id), self._stated_profiles.get(user_id))

    async def location(self, user_id: str) -> GeoLocation:
        """Return the location of a user."""
        return _spot(self._cells.get(user_id), self._stated_profiles.get(user_id))


class RedisUserProfileStore:
    """Profiles in Redis, as JSON. Inferred profiles expire 90 days after the user's last event.

    The reads of one event loop tick are one MGET.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reads: Coalescer[bytes | None] = Coalescer(self._fetch)
        self._inferred_decoder, self._stated_decoder = (
            msgspec.json.Decoder(InferredProfile),
            msgspec.json.Decoder(Profile),
        )

    async def write_inferred(self, features: Sequence[Features]) -> None:
        """Replace inferred profiles."""
        pipeline = self._redis.pipeline(transaction=False)
        for one in {one.user_id: one for one in features}.values():
            pipeline.set(FOUND + one.user_id, msgspec.json.encode(_inferred_profile(one)), ex=_TTL_S)
            if one.cell is not None:
                pipeline.set(PLACE + one.user_id, one.cell, ex=_TTL_S)
        with store_errors("writing user profiles"):
            await pipeline.execute()

    async def write_stated(self, profiles: Sequence[Profile]) -> None:
        """Replace stated profiles."""
        if profiles:
            with store_errors("writing profiles"):
                await self._redis.mset({STATED + one.user_id: msgspec.json.encode(one) for one in profiles})

    async def forget_stated(self, user_ids: Sequence[str]) -> None:
        """Remove stated profiles."""
        if user_ids:
            with store_errors("removing profiles"):
                await self._redis.delete(*(STATED + user_id for user_id in user_ids))

    async def read(self, user_id: str) -> UserProfile:
        """Return the profiles of a user."""
        inferred_data, stated_data = await self._reads.read([FOUND + user_id, STATED + user_id])
        return UserProfile(
            None if inferred_data is None else self._inferred_decoder.decode(inferred_data),
            None if stated_data is None else self._stated_decoder.decode(stated_data),
        )

    async def location(self, user_id: str) -> GeoLocation:
        """Return the location of a user."""
        cell, stated_data = await self._reads.read([PLACE + user_id, STATED + user_id])
        return _spot(
            None if cell is None else cell.decode(),
            None if stated_data is None else self._stated_decoder.decode(stated_data),
        )

    async def _fetch(self, keys: Sequence[str]) -> list[bytes | None]:
        with store_errors("reading user profiles"):
            documents = await self._redis.mget(list(keys))
        return cast("list[bytes | None]", documents)  # the client does not decode


def _inferred_profile(features: Features) -> InferredProfile:
    values = {name: getattr(features, name) for name in InferredProfile.__struct_fields__}
    return InferredProfile(**values | {"recent": features.recent[:_RECENT]})


def _spot(cell: str | None, stated_profile: Profile | None) -> GeoLocation:
    return (
        geo_location(cell, None)
        if stated_profile is None
        else geo_location(cell, stated_profile.city, stated_profile.timezone or "")
    )
