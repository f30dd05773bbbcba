"""Content that was fetched ahead: `prefetch:{user_id}:{category}` in Redis, or memory.

What holds at a place only lies at `prefetch:{user_id}:{category}:{cell}`, so that who has moved never sees the old
place. Beside each answer `asked:…` says that it is on its way, and `prefetched:{user_id}` names all of a user's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors
from schemas.types import FoundItem

KEY, ASKED, INDEX, QUESTIONS = "prefetch:", "asked:", "prefetched:", "questions:"
ATTEMPTS, ANSWERED = "fetch:attempts:", "fetch:answered:"
_INDEX_LIVES_S = 7 * 86_400
_REQUEST_LIVES_S = 86_400
"""As long as requests stay on their topic."""
_QUESTIONS_LIVE_S = 86_400


class PrefetchSlot(NamedTuple):
    """Where the answer of one category lies."""

    user_id: str
    category: str
    place: str = ""
    """Cell or city that it holds at; empty when everywhere."""

    @property
    def name(self) -> str:
        """Return what tells it from the user's others."""
        return f"{self.category}:{self.place}" if self.place else self.category


class Prefetched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was fetched for a user in one category. Times are in ms since the epoch."""

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
        """Return where it lies."""
        return PrefetchSlot(user_id, self.category, self.place)


class PrefetchQuestion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a language model would be asked for a user in one category."""

    category: str
    prompt_version: str
    system: str
    user: str


class PrefetchStore(Protocol):
    """Keeps what was fetched, and what is being. Every method raises `StoreError` when the store does not answer."""

    async def wanted(self, slots: Sequence[PrefetchSlot]) -> list[bool]:
        """Say of each slot whether it has no answer and none is on its way."""
        ...

    async def ask(self, slots: Sequence[PrefetchSlot], *, within_s: float) -> None:
        """Note that answers are on their way; one that has not come within the time is wanted again."""
        ...

    async def write(self, user_id: str, answer: Prefetched) -> None:
        """Keep an answer until it expires; it is not on its way any more, and its request was answered."""
        ...

    async def begin(self, request_id: str) -> int:
        """Count an attempt at a request and return how many there were; 0 when it was answered already."""
        ...

    async def read(self, user_id: str) -> list[Prefetched]:
        """Return a user's answers, in the order of their slots' names."""
        ...

    async def clear(self, user_id: str) -> int:
        """Forget a user's answers, those on their way too, and return how many slots that were."""
        ...

    async def write_questions(self, questions: Mapping[str, Sequence[PrefetchQuestion]]) -> None:
        """Keep what would be asked for some users, for a day."""
        ...

    async def read_questions(self, user_id: str) -> list[PrefetchQuestion]:
        """Return what would be asked for a user; nothing when no trigger came for them lately."""
        ...


class MemoryPrefetchStore:
    """What one process has fetched."""

    def __init__(self, *, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self._answers: dict[PrefetchSlot, Prefetched] = {}
        self._pending_until_s: dict[PrefetchSlot, float] = {}
        self._attempts: Counter[str] = Counter()
        self._answered: set[str] = set()
        self._questions: dict[str, list[PrefetchQuestion]] = {}

    async def wanted(self, slots: Sequence[PrefetchSlot]) -> list[bool]:
        """Say of each slot whether it is wanted."""
        return [slot not in self._live() and self._pending_until_s.get(slot, 0.0) <= self._clock_s() for slot in slots]

    async def ask(self, slots: Sequence[PrefetchSlot], *, within_s: float) -> None:
        """Note that answers are on their way."""
        self._pending_until_s |= dict.fromkeys(slots, self._clock_s() + within_s)

    async def write(self, user_id: str, answer: Prefetched) -> None:
        """Keep an answer."""
        slot = answer.slot(user_id)
        self._answers[slot] = answer
        self._pending_until_s.pop(slot, None)
        self._answered.add(answer.request_id)

    async def begin(self, request_id: str) -> int:
        """Count an attempt."""
        self._attempts[request_id] += 1
        return 0 if request_id in self._answered else self._attempts[request_id]

    async def read(self, user_id: str) -> list[Prefetched]:
        """Return a user's answers."""
        mine = {slot.name: answer for slot, answer in self._live().items() if slot.user_id == user_id}
        return [mine[name] for name in sorted(mine)]

    async def clear(self, user_id: str) -> int:
        """Forget a user's answers."""
        pending_slots = (slot for slot, until_s in self._pending_until_s.items() if until_s > self._clock_s())
        slots = {slot for slot in (*self._live(), *pending_slots) if slot.user_id == user_id}
        for slot in slots:
            self._answers.pop(slot, None)
            self._pending_until_s.pop(slot, None)
        return len(slots)

    async def write_questions(self, questions: Mapping[str, Sequence[PrefetchQuestion]]) -> None:
        """Keep what would be asked."""
        self._questions |= {user_id: list(user_questions) for user_id, user_questions in questions.items()}

    async def read_questions(self, user_id: str) -> list[PrefetchQuestion]:
        """Return what would be asked."""
        return self._questions.get(user_id, [])

    def _live(self) -> dict[PrefetchSlot, Prefetched]:
        now_ms = self._clock_s() * 1_000
        return {slot: answer for slot, answer in self._answers.items() if answer.expires_at > now_ms}


class RedisPrefetchStore:
    """What was fetched, in Redis: one trip for what is asked of many slots."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decoder = msgspec.json.Decoder(Prefetched)
        self._questions = msgspec.json.Decoder(list[PrefetchQuestion])

    async def wanted(self, slots: Sequence[PrefetchSlot]) -> list[bool]:
        """Say of each slot whether it is wanted."""
        pipeline = self._redis.pipeline(transaction=False)
        for slot in slots:
            pipeline.exists(_key(KEY, slot), _key(ASKED, slot))
        with store_errors("looking for what was fetched"):
            return [not count for count in await pipeline.execute()]

    async def ask(self, slots: Sequence[PrefetchSlot], *, within_s: float) -> None:
        """Note that answers are on their way."""
        pipeline = self._redis.pipeline(transaction=False)
        for slot in slots:
            pipeline.set(_key(ASKED, slot), b"", px=round(within_s * 1_000))
            self._name(pipeline, slot)
        with store_errors("noting what is asked"):
            await pipeline.execute()

    async def write(self, user_id: str, answer: Prefetched) -> None:
        """Keep an answer."""
        slot = answer.slot(user_id)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(_key(KEY, slot), msgspec.json.encode(answer), pxat=answer.expires_at)
        pipeline.delete(_key(ASKED, slot))
        pipeline.set(ANSWERED + answer.request_id, b"", ex=_REQUEST_LIVES_S)
        self._name(pipeline, slot)
        with store_errors("keeping what was fetched"):
            await pipeline.execute()

    async def begin(self, request_id: str) -> int:
        """Count an attempt."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.exists(ANSWERED + request_id)
        pipeline.incr(ATTEMPTS + request_id)
        pipeline.expire(ATTEMPTS + request_id, _REQUEST_LIVES_S)
        with store_errors("counting an attempt"):
            answered, attempts, _ = await pipeline.execute()
        return 0 if answered else int(attempts)

    async def read(self, user_id: str) -> list[Prefetched]:
        """Return a user's answers."""
        with store_errors("reading what was fetched"):
            names = sorted(await self._names(user_id))
            documents = await self._redis.mget([f"{KEY}{user_id}:{name}" for name in names]) if names else []
        return [self._decoder.decode(data) for data in documents if data is not None]

    async def clear(self, user_id: str) -> int:
        """Forget a user's answers."""
        with store_errors("forgetting what was fetched"):
            names = await self._names(user_id)
            keys = [[f"{prefix}{user_id}:{name}" for prefix in (KEY, ASKED)] for name in names]
            pipeline = self._redis.pipeline(transaction=True)
            for pair in keys:
                pipeline.delete(*pair)
            pipeline.delete(INDEX + user_id)
            return sum(map(bool, (await pipeline.execute())[: len(keys)]))

    async def write_questions(self, questions: Mapping[str, Sequence[PrefetchQuestion]]) -> None:
        """Keep what would be asked."""
        pipeline = self._redis.pipeline(transaction=False)
        for user_id, user_questions in questions.items():
            pipeline.set(QUESTIONS + user_id, msgspec.json.encode(user_questions), ex=_QUESTIONS_LIVE_S)
        with store_errors("keeping questions"):
            await pipeline.execute()

    async def read_questions(self, user_id: str) -> list[PrefetchQuestion]:
        """Return what would be asked."""
        with store_errors("reading questions"):
            data = await self._redis.get(QUESTIONS + user_id)
        return self._questions.decode(data) if data else []

    async def _names(self, user_id: str) -> list[str]:
        """Return the names of a user's slots."""
        names = cast("set[bytes]", await self._redis.smembers(INDEX + user_id))  # the client was not asked to decode
        return [name.decode() for name in names]

    def _name(self, pipeline: Any, slot: PrefetchSlot) -> None:
        """Add a slot to those of its user."""
        pipeline.sadd(INDEX + slot.user_id, slot.name)
        pipeline.expire(INDEX + slot.user_id, _INDEX_LIVES_S)


def _key(prefix: str, slot: PrefetchSlot) -> str:
    return f"{prefix}{slot.user_id}:{slot.name}"
