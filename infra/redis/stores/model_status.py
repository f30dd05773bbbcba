"""Status of the models, written by the trainer, read by the API and the command line."""

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
"""Statuses of versions that have never been in service."""


class Version(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version produced by a full fit. Times are in ms since the epoch."""

    version: str
    status: str
    """serving, replaced, refused or not judged."""
    reason: str = ""
    created_at: int
    watermark: int = 0
    """Time of the newest event in the training data."""
    events: int = 0
    metrics: dict[str, float] = {}
    """Validation metrics by name."""
    full: bool = True
    """Whether its blender was trained on all events, not on the newest only."""
    request_ids: list[str] = []
    """Ids of the triggers that requested it, if any."""


def with_current_status(version: Version, serving: str | None) -> Version:
    """Return a version with its current status.

    Args:
        version: The version.
        serving: Id of the version in service, None without one.
    """
    if version.version == serving:
        return msgspec.structs.replace(version, status=SERVING)
    return version if version.status in NEVER_SERVED else msgspec.structs.replace(version, status=REPLACED)


class Training(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """State of the full fit in progress, if any."""

    state: Literal["idle", "fitting"] = "idle"
    why: str = ""
    request_ids: list[str] = []
    started_at: int | None = None
    learned: int = 0  # wire
    total: int = 0

    @property
    def progress(self) -> float:
        """Return the completed share, from 0 to 1."""
        return min(self.learned / self.total, 1.0) if self.total else 0.0


class LiveModel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """State of online learning since the fit of the version in service."""

    version: str = ""
    events: int = 0
    outcomes: int = 0
    watermark: int = 0
    published_at: int | None = None


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The complete status of the models."""

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
    """Keeps the status. All methods raise `StoreError` if the store does not answer."""

    async def write(self, status: ModelStatus) -> None:
        """Replace the status."""
        ...

    async def read(self) -> ModelStatus:
        """Return the status, an empty one if no trainer has run yet."""
        ...


class MemoryModelStatusStore:
    """The status in memory."""

    def __init__(self) -> None:
        self._status = ModelStatus()

    async def write(self, status: ModelStatus) -> None:
        """Replace the status."""
        self._status = status

    async def read(self) -> ModelStatus:
        """Return the status."""
        return self._status


class RedisModelStatusStore:
    """The status in Redis, as JSON."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, status: ModelStatus) -> None:
        """Replace the status."""
        with store_errors("writing the status of the models"):
            await self._redis.set(KEY, msgspec.json.encode(status))

    async def read(self) -> ModelStatus:
        """Return the status."""
        with store_errors("reading the status of the models"):
            document = cast("bytes | None", await self._redis.get(KEY))
        return ModelStatus() if document is None else msgspec.json.decode(document, type=ModelStatus)
