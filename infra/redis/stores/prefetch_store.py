"""Store of prefetched content: `prefetch:{user_id}:{category}` in Redis, or memory.

Content for a location only is at `prefetch:{user_id}:{category}:{cell}`, so that users who have moved never see content
for the old location. `asked:…` marks each pending answer, and `prefetched:{user_id}` is the index of a user's slots.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import msgspec
from redis.asyncio import Redis

from domain.timestamp import DAY_S
from infra.redis.connection import store_errors
from schemas.types import FoundItem

KEY, ASKED, INDEX, QUESTIONS = "prefetch:", "asked:", "prefetched:", "questions:"
ATTEMPTS, ANSWERED = "fetch:attempts:", "fetch:answered:"
_INDEX_TTL_S = 7 * DAY_S
_REQUEST_TTL_S = DAY_S
"""The retention of the topic of requests."""
_QUESTIONS_TTL_S = DAY_S


class PrefetchSlot(NamedTuple):
    """The slot of the answer for one user and category."""

    user_id: str
    category: str
    place: str = ""
    """Cell or city for which the content is valid; empty for all locations."""

    @property
    def name(self) -> str:
        """Return the name of the slot, unique per user."""
        return f"{self.category}:{self.place}" if self.place else self.category


class Prefetched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Prefetched content for a user in one category. Times are in ms since the epoch."""

    request_id: str
    category: str
    place: str = ""
    city: str | None = None
    source: str
    fallback: str = ""
    reason: str = ""
    items: list[FoundItem]
    prompt_version: str = ""
    prompt_hash: str = ""
    fetched_at: int
    expires_at: int

    def slot(self, user_id: str) -> PrefetchSlot:
        """Return the slot of this content for a user."""
        return PrefetchSlot(user_id, self.category, self.place)


class PrefetchQuestion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The question to a language model for a user in one category."""

    category: str
    prompt_version: str
    system: str
    user: str


class PrefetchStore(Protocol):
    """Prefetched and pending content. All methods raise `StoreError` if the store does not answer."""

    async def are_missing(self, slots: Sequence[PrefetchSlot]) -> list[bool]:
        """Say for each slot whether it has neither an answer nor a pending request."""
        ...

    async def mark_pending(self, slots: Sequence[PrefetchSlot], *, deadline_s: float) -> None:
        """Mark slots as pending.

        Args:
            slots: Slots of the request.
            deadline_s: Time in seconds after which a slot without an answer is wanted again.
        """
        ...

    async def write(self, user_id: str, answer: Prefetched) -> None:
        """Store an answer until it expires, remove its pending mark, and mark its request as answered.

        Args:
            user_id: The user.
            answer: The prefetched content.
        """
        ...

    async def count_attempt(self, request_id: str) -> int:
        """Count an attempt at a request and return the number of attempts; 0 if it was answered already."""
        ...

    async def read(self, user_id: str) -> list[Prefetched]:
        """Return a user's answers, ordered by the names of their slots."""
        ...

    async def clear(self, user_id: str) -> int:
        """Remove a user's answers and pending marks, and return the number of slots."""
        ...

    async def write_questions(self, questions: Mapping[str, Sequence[PrefetchQuestion]]) -> None:
        """Store the questions for users for a day."""
        ...

    async def read_questions(self, user_id: str) -> list[PrefetchQuestion]:
        """Return the questions for a user; none without a recent trigger."""
        ...


class MemoryPrefetchStore:
    """Prefetched content in memory."""

    def __init__(self, *, clock_s: Callable[[], float] = time.time) -> None:
        """Start empty.

        Args:
            clock_s: The clock, in seconds since the epoch.
        """
        self._clock_s = clock_s
        self._answers: dict[PrefetchSlot, Prefetched] = {}
        self._pending_until_s: dict[PrefetchSlot, float] = {}
        self._attempts: Counter[str] = Counter()
        self._answered_ids: set[str] = set()
        self._questions: dict[str, list[PrefetchQuestion]] = {}

    async def are_missing(self, slots: Sequence[PrefetchSlot]) -> list[bool]:
        """Say for each slot whether it has neither an answer nor a pending request."""
        return [slot not in self._live() and self._pending_until_s.get(slot, 0.0) <= self._clock_s() for slot in slots]

    async def mark_pending(self, slots: Sequence[PrefetchSlot], *, deadline_s: float) -> None:
        """Mark slots as pending.

        Args:
            slots: Slots of the request.
            deadline_s: Time in seconds after which a slot without an answer is wanted again.
        """
        self._pending_until_s |= dict.fromkeys(slots, self._clock_s() + deadline_s)

    async def write(self, user_id: str, answer: Prefetched) -> None:
        """Store an answer.

        Args:
            user_id: The user.
            answer: The prefetched content.
        """
        slot = answer.slot(user_id)
        self._answers[slot] = answer
        self._pending_until_s.pop(slot, None)
        self._answered_ids.add(answer.request_id)

    async def count_attempt(self, request_id: str) -> int:
        """Count an attempt at a request."""
        self._attempts[request_id] += 1
        return 0 if request_id in self._answered_ids else self._attempts[request_id]

    async def read(self, user_id: str) -> list[Prefetched]:
        """Return a user's answers, ordered by the names of their slots."""
        mine = {slot.name: answer for slot, answer in self._live().items() if slot.user_id == user_id}
        return [mine[name] for name in sorted(mine)]

    async def clear(self, user_id: str) -> int:
        """Remove a user's answers and pending marks."""
        pending_slots = (slot for slot, until_s in self._pending_until_s.items() if until_s > self._clock_s())
        slots = {slot for slot in (*self._live(), *pending_slots) if slot.user_id == user_id}
        for slot in slots:
            self._answers.pop(slot, None)
            self._pending_until_s.pop(slot, None)
        return len(slots)

    async def write_questions(self, questions: Mapping[str, Sequence[PrefetchQuestion]]) -> None:
        """Store the questions for users."""
        self._questions |= {user_id: list(user_questions) for user_id, user_questions in questions.items()}

    async def read_questions(self, user_id: str) -> list[PrefetchQuestion]:
        """Return the questions for a user."""
        return self._questions.get(user_id, [])

    def _live(self) -> dict[PrefetchSlot, Prefetched]:
        now_ms = self._clock_s() * 1_000
        return {slot: answer for slot, answer in self._answers.items() if answer.expires_at > now_ms}


class RedisPrefetchStore:
    """Prefetched content in Redis, with one round trip for many slots."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decoder = msgspec.json.Decoder(Prefetched)
        self._questions = msgspec.json.Decoder(list[PrefetchQuestion])

    async def are_missing(self, slots: Sequence[PrefetchSlot]) -> list[bool]:
        """Say for each slot whether it has neither an answer nor a pending request."""
        pipeline = self._redis.pipeline(transaction=False)
        for slot in slots:
            pipeline.exists(_key(KEY, slot), _key(ASKED, slot))
        with store_errors("reading the fetched content"):
            return [not count for count in await pipeline.execute()]

    async def mark_pending(self, slots: Sequence[PrefetchSlot], *, deadline_s: float) -> None:
        """Mark slots as pending.

        Args:
            slots: Slots of the request.
            deadline_s: Time in seconds after which a slot without an answer is wanted again.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for slot in slots:
            pipeline.set(_key(ASKED, slot), b"", px=round(deadline_s * 1_000))
            self._name(pipeline, slot)
        with store_errors("recording a fetch request"):
            await pipeline.execute()

    async def write(self, user_id: str, answer: Prefetched) -> None:
        """Store an answer.

        Args:
            user_id: The user.
            answer: The prefetched content.
        """
        slot = answer.slot(user_id)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(_key(KEY, slot), msgspec.json.encode(answer), pxat=answer.expires_at)
        pipeline.delete(_key(ASKED, slot))
        pipeline.set(ANSWERED + answer.request_id, b"", ex=_REQUEST_TTL_S)
        self._name(pipeline, slot)
        with store_errors("storing fetched content"):
            await pipeline.execute()

    async def count_attempt(self, request_id: str) -> int:
        """Count an attempt at a request."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.exists(ANSWERED + request_id)
        pipeline.incr(ATTEMPTS + request_id)
        pipeline.expire(ATTEMPTS + request_id, _REQUEST_TTL_S)
        with store_errors("counting an attempt"):
            is_answered, attempts, _ = await pipeline.execute()
        return 0 if is_answered else int(attempts)

    async def read(self, user_id: str) -> list[Prefetched]:
        """Return a user's answers, ordered by the names of their slots."""
        with store_errors("reading fetched content"):
            names = sorted(await self._names(user_id))
            documents = await self._redis.mget([f"{KEY}{user_id}:{name}" for name in names]) if names else []
        return [self._decoder.decode(data) for data in documents if data is not None]

    async def clear(self, user_id: str) -> int:
        """Remove a user's answers and pending marks."""
        with store_errors("removing fetched content"):
            names = await self._names(user_id)
            keys = [[f"{prefix}{user_id}:{name}" for prefix in (KEY, ASKED)] for name in names]
            pipeline = self._redis.pipeline(transaction=True)
            for pair in keys:
                pipeline.delete(*pair)
            pipeline.delete(INDEX + user_id)
            return sum(map(bool, (await pipeline.execute())[: len(keys)]))

    async def write_questions(self, questions: Mapping[str, Sequence[PrefetchQuestion]]) -> None:
        """Store the questions for users."""
        pipeline = self._redis.pipeline(transaction=False)
        for user_id, user_questions in questions.items():
            pipeline.set(QUESTIONS + user_id, msgspec.json.encode(user_questions), ex=_QUESTIONS_TTL_S)
        with store_errors("storing questions"):
            await pipeline.execute()

    async def read_questions(self, user_id: str) -> list[PrefetchQuestion]:
        """Return the questions for a user."""
        with store_errors("reading questions"):
            data = await self._redis.get(QUESTIONS + user_id)
        return self._questions.decode(data) if data else []

    async def _names(self, user_id: str) -> list[str]:
        """Return the names of a user's slots."""
        names = cast("set[bytes]", await self._redis.smembers(INDEX + user_id))  # the client does not decode
        return [name.decode() for name in names]

    def _name(self, pipeline: Any, slot: PrefetchSlot) -> None:
        """Add a slot to the index of its user."""
        pipeline.sadd(INDEX + slot.user_id, slot.name)
        pipeline.expire(INDEX + slot.user_id, _INDEX_TTL_S)


def _key(prefix: str, slot: PrefetchSlot) -> str:
    return f"{prefix}{slot.user_id}:{slot.name}"
