"""What is known of the models: the trainer writes it, the API and the command line read it."""

from __future__ import annotations

from typing import Literal, Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors

KEY = "models"
SERVING: Literal["serving"] = "serving"
REFUSED: Literal["refused"] = "refused"
NOT_JUDGED: Literal["not judged"] = "not judged"
REPLACED = "replaced"
NEVER_SERVED = frozenset({REFUSED, NOT_JUDGED})
"""What fits are that have never been in service."""


class Version(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version as a full fit left it. Times are in ms since the epoch."""

    version: str
    status: str
    """serving, replaced, refused or not judged."""
    reason: str = ""
    created_at: int
    watermark: int = 0
    """Newest event learned from."""
    events: int = 0
    metrics: dict[str, float] = {}
    """What validation measured, by name."""
    full: bool = True
    """Whether its blender learned from all events, not from the newest alone."""
    request_ids: list[str] = []
    """Ids of the triggers that asked for it, if any did."""


def with_current_status(version: Version, serving: str | None) -> Version:
    """Return a version with the status it has while another, or itself, is in service."""
    if version.version == serving:
        return msgspec.structs.replace(version, status=SERVING)
    return version if version.status in NEVER_SERVED else msgspec.structs.replace(version, status=REPLACED)


class Training(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A full fit in progress, or none."""

    state: Literal["idle", "fitting"] = "idle"
    why: str = ""
    request_ids: list[str] = []
    started_at: int | None = None
    learned: int = 0
    total: int = 0

    @property
    def progress(self) -> float:
        """Return the share done."""
        return min(self.learned / self.total, 1.0) if self.total else 0.0


class LiveModel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Learning as events come, since the version in service was fitted."""

    version: str = ""
    events: int = 0
    outcomes: int = 0
    watermark: int = 0
    published_at: int | None = None


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that there is to know."""

    model: str = ""
    written_at: int | None = None
    serving: str | None = None
    versions: list[Version] = []
    """Newest first."""
    live: LiveModel = LiveModel()
    training: Training = Training()
    last_fit_at: int | None = None
    next_fit_at: int | None = None


class ModelStatusStore(Protocol):
    """Keeps the board. Every method raises `StoreError` when the store does not answer."""

    async def write(self, status: ModelStatus) -> None:
        """Replace the board."""
        ...

    async def read(self) -> ModelStatus:
        """Return the board; an empty one when no trainer has run yet."""
        ...


class MemoryModelStatusStore:
    """The board of one process."""

    def __init__(self) -> None:
        self._status = ModelStatus()

    async def write(self, status: ModelStatus) -> None:
        """Replace the board."""
        self._status = status

    async def read(self) -> ModelStatus:
        """Return the board."""
        return self._status


class RedisModelStatusStore:
    """The board in Redis, as JSON."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, status: ModelStatus) -> None:
        """Replace the board."""
        with store_errors("writing what is known of the models"):
            await self._redis.set(KEY, msgspec.json.encode(status))

    async def read(self) -> ModelStatus:
        """Return the board."""
        with store_errors("reading what is known of the models"):
            document = cast("bytes | None", await self._redis.get(KEY))
        return ModelStatus() if document is None else msgspec.json.decode(document, type=ModelStatus)
