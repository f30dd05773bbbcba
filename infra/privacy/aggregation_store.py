"""Store of secure aggregations: `aggregation:terms:{id}` and a key for each kind of message in Redis, or memory.

It keeps the messages of clients, none of which tells a counter, and at last the sum. All processes of the API move an
aggregation from round to round in scripts, so that a message is taken in its round, once, or not at all: a round ends
once all clients of the round before have sent their messages, or at its time if at least `threshold` have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors

KEY, OPEN_KEY = "aggregation:", "aggregations"
MAX_OPEN = 8
"""Maximum number of aggregations in progress."""
KEPT_MS = 3_600_000
"""Time for which an aggregation is kept after its end, or after that of a round that nobody ends, in ms."""
ROUNDS = 4

State = Literal["failed", "keys", "shares", "values", "reveals", "complete"]
STATES: tuple[State, ...] = ("failed", "keys", "shares", "values", "reveals", "complete")
"""The states by number: rounds 1 to 4 are in progress."""
_FAILED, _COMPLETE = 0, 5
Outcome = Literal["accepted", "unknown", "wrong round", "repeated", "full", "stranger"]


class AggregationTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Terms of a whole aggregation."""

    counters: int
    """Number of counters of each client."""
    threshold: int
    """Number of clients that each round needs."""
    max_clients: int
    """The first round ends once as many clients have sent their keys."""
    round_ms: int
    """Longest duration of a round, in ms."""


class StoredAggregation(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregation as it is."""

    terms: AggregationTerms
    round: int
    """0 once it has failed, 5 once all rounds are over."""
    closes_at: int
    """The time at which the round ends, in ms since the epoch."""
    clients: int
    """Number of messages in the round; at the end number of clients in the sum, or in the round that failed."""
    senders: tuple[list[str], ...] = ()
    """The clients of each round, from the first, if they were asked for."""

    @property
    def state(self) -> State:
        """Return the name of the state."""
        return STATES[self.round]


class RoundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One client's message of a round."""

    round: int
    user_id: str
    content: bytes
    shares: Mapping[str, bytes] = {}
    """Encrypted shares by receiver, in the second round."""


class AggregationStore(Protocol):
    """Aggregations by id. All methods raise `StoreError` if the store does not answer."""

    async def create(self, aggregation_id: str, terms: AggregationTerms, now_ms: int) -> bool:
        """Begin an aggregation, unless MAX_OPEN are in progress; return whether it has begun.

        Args:
            aggregation_id: The id of the aggregation.
            terms: Its terms.
            now_ms: The time, in ms since the epoch.
        """
        ...

    async def read(self, aggregation_id: str, now_ms: int, *, with_senders: bool = False) -> StoredAggregation | None:
        """Return an aggregation, after ending its round if that is due; None if there is none.

        Args:
            aggregation_id: The id of the aggregation.
            now_ms: The time, in ms since the epoch.
            with_senders: Whether to return the clients of all rounds as well.
        """
        ...

    async def add(self, aggregation_id: str, message: RoundMessage, now_ms: int) -> Outcome:
        """Store a message of a client of the round before; one that is repeated without a change is accepted, too.

        Args:
            aggregation_id: The id of the aggregation.
            message: The message.
            now_ms: The time, in ms since the epoch.
        """
        ...

    async def messages(self, aggregation_id: str, number: int) -> dict[str, bytes]:
        """Return the contents of a round's messages by client; none once the aggregation is over.

        Args:
            aggregation_id: The id of the aggregation.
            number: The round (1 to 4).
        """
        ...

    async def shares_for(self, aggregation_id: str, user_id: str, senders: Sequence[str]) -> dict[str, bytes]:
        """Return the encrypted shares for a client, by sender; none once the aggregation is over.

        Args:
            aggregation_id: The id of the aggregation.
            user_id: The client.
            senders: The clients of the second round.
        """
        ...

    async def finish(self, aggregation_id: str, counters: Sequence[int] | None) -> None:
        """Store the sum in place of all messages; without a sum the aggregation has failed.

        Args:
            aggregation_id: The id of the aggregation.
            counters: The sum; None if there is none.
        """
        ...

    async def read_sum(self, aggregation_id: str) -> list[int] | None:
        """Return the sum; None before there is one."""
        ...


@dataclass
class _MemoryAggregation:
    """An aggregation in memory."""

    terms: AggregationTerms
    closes_at: int
    round: int = 1
    clients: int = 0
    messages: tuple[dict[str, bytes], ...] = field(default_factory=lambda: tuple({} for _ in range(ROUNDS)))
    shares: dict[tuple[str, str], bytes] = field(default_factory=dict)
    sum: list[int] | None = None

    @property
    def is_open(self) -> bool:
        return 1 <= self.round <= ROUNDS or (self.round == _COMPLETE and self.sum is None)

    def advance(self, now_ms: int) -> None:
        """End the round if that is due."""
        if not 1 <= self.round <= ROUNDS:
            return
        count = len(self.messages[self.round - 1])
        expected = self.terms.max_clients if self.round == 1 else len(self.messages[self.round - 2])
        if count < expected and now_ms < self.closes_at:
            return
        if count < self.terms.threshold:
            self.end(_FAILED, count)
            return
        if self.round == 3:
            self.clients = count
        self.round, self.closes_at = self.round + 1, now_ms + self.terms.round_ms

    def end(self, number: int, clients: int) -> None:
        """Forget all messages.

        Args:
            number: The state from now on.
            clients: The number of clients to tell.
        """
        self.round, self.clients = number, clients
        for messages in self.messages:
            messages.clear()
        self.shares.clear()


class MemoryAggregationStore:
    """Aggregations in memory, which do not expire."""

    def __init__(self) -> None:
        self._aggregations: dict[str, _MemoryAggregation] = {}

    async def create(self, aggregation_id: str, terms: AggregationTerms, now_ms: int) -> bool:
        """Begin an aggregation.

        Args:
            aggregation_id: The id of the aggregation.
            terms: Its terms.
            now_ms: The time, in ms since the epoch.
        """
        if sum(one.is_open for one in self._aggregations.values()) >= MAX_OPEN:
            return False
        self._aggregations[aggregation_id] = _MemoryAggregation(terms, now_ms + terms.round_ms)
        return True

    async def read(self, aggregation_id: str, now_ms: int, *, with_senders: bool = False) -> StoredAggregation | None:
        """Return an aggregation.

        Args:
            aggregation_id: The id of the aggregation.
            now_ms: The time, in ms since the epoch.
            with_senders: Whether to return the clients of all rounds as well.
        """
        one = self._aggregations.get(aggregation_id)
        if one is None:
            return None
        one.advance(now_ms)
        is_running = 1 <= one.round <= ROUNDS
        return StoredAggregation(
            terms=one.terms,
            round=one.round,
            closes_at=one.closes_at,
            clients=len(one.messages[one.round - 1]) if is_running else one.clients,
            senders=tuple(list(messages) for messages in one.messages) if with_senders else (),
        )

    async def add(self, aggregation_id: str, message: RoundMessage, now_ms: int) -> Outcome:
        """Store a message.

        Args:
            aggregation_id: The id of the aggregation.
            message: The message.
            now_ms: The time, in ms since the epoch.
        """
        one = self._aggregations.get(aggregation_id)
        if one is None:
            return "unknown"
        one.advance(now_ms)
        messages = one.messages[message.round - 1]
        if message.user_id in messages:
            return "accepted" if messages[message.user_id] == message.content else "repeated"
        if message.round == 1 and len(messages) >= one.terms.max_clients:
            return "full"
        if one.round != message.round:
            return "wrong round"
        if message.round > 1 and message.user_id not in one.messages[message.round - 2]:
            return "stranger"
        messages[message.user_id] = message.content
        one.shares |= {(receiver, message.user_id): share for receiver, share in message.shares.items()}
        return "accepted"

    async def messages(self, aggregation_id: str, number: int) -> dict[str, bytes]:
        """Return the contents of a round's messages.

        Args:
            aggregation_id: The id of the aggregation.
            number: The round (1 to 4).
        """
        one = self._aggregations.get(aggregation_id)
        return {} if one is None else dict(one.messages[number - 1])

    async def shares_for(self, aggregation_id: str, user_id: str, senders: Sequence[str]) -> dict[str, bytes]:
        """Return the encrypted shares for a client.

        Args:
            aggregation_id: The id of the aggregation.
            user_id: The client.
            senders: The clients of the second round.
        """
        one = self._aggregations.get(aggregation_id)
        shares = {} if one is None else one.shares
        return {sender: shares[user_id, sender] for sender in senders if (user_id, sender) in shares}

    async def finish(self, aggregation_id: str, counters: Sequence[int] | None) -> None:
        """Store the sum.

        Args:
            aggregation_id: The id of the aggregation.
            counters: The sum; None if there is none.
        """
        one = self._aggregations.get(aggregation_id)
        if one is not None and one.round == _COMPLETE and one.sum is None:
            one.end(_FAILED if counters is None else _COMPLETE, one.clients)
            one.sum = None if counters is None else list(counters)

    async def read_sum(self, aggregation_id: str) -> list[int] | None:
        """Return the sum."""
        one = self._aggregations.get(aggregation_id)
        return None if one is None else one.sum


_SCRIPT = """
local id, now, kept = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function expire(kept_ms)
    for _, key in ipairs({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]}) do
        redis.call('PEXPIRE', key, kept_ms)
    end
end
local function finish(round, clients)
    redis.call('HSET', KEYS[1], 'round', round, 'clients', clients)
    redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
    redis.call('ZREM', KEYS[7], id)
    expire(kept)
end
local function advance()
    local stored = redis.call('HMGET', KEYS[1], 'round', 'threshold', 'max_clients', 'round_ms', 'closes_at')
    local round = tonumber(stored[1] or -1)
    if round < 1 or round > 4 then return round end
    local count = redis.call('HLEN', KEYS[1 + round])
    local expected = round == 1 and tonumber(stored[3]) or redis.call('HLEN', KEYS[round])
    if count < expected and now < tonumber(stored[5]) then return round end
    if count < tonumber(stored[2]) then
        finish(0, count)
        return 0
    end
    if round == 3 then redis.call('HSET', KEYS[1], 'clients', count) end
    local round_ms = tonumber(stored[4])
    redis.call('HSET', KEYS[1], 'round', round + 1, 'closes_at', string.format('%.0f', now + round_ms))
    redis.call('ZADD', KEYS[7], 'XX', now + round_ms + kept, id)
    expire(round_ms + kept)
    return round + 1
end
"""
"""The beginning of all scripts. Keys: the aggregation, its four rounds, its shares, and all aggregations in progress.
Arguments: id, time (ms since the epoch), KEPT_MS."""
_CREATE = """
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now)
if redis.call('ZCARD', KEYS[7]) >= tonumber(ARGV[4]) then return 0 end
local round_ms = tonumber(ARGV[8])
redis.call('HSET', KEYS[1], 'round', 1, 'counters', ARGV[5], 'threshold', ARGV[6], 'max_clients', ARGV[7],
    'round_ms', ARGV[8], 'closes_at', string.format('%.0f', now + round_ms))
redis.call('PEXPIRE', KEYS[1], round_ms + kept)
redis.call('ZADD', KEYS[7], now + round_ms + kept, id)
return 1
"""
_READ = """
local round = advance()
if round == -1 then return false end
local result = redis.call('HMGET', KEYS[1], 'round', 'counters', 'threshold', 'max_clients', 'round_ms', 'closes_at',
    'clients')
if round >= 1 and round <= 4 then result[7] = tostring(redis.call('HLEN', KEYS[1 + round])) end
if ARGV[4] == '1' then
    for number = 1, 4 do result[7 + number] = redis.call('HKEYS', KEYS[1 + number]) end
end
return result
"""
_ADD = """
local current, round = advance(), tonumber(ARGV[4])
if current == -1 then return 'unknown' end
local messages = KEYS[1 + round]
local stored = redis.call('HGET', messages, ARGV[5])
if stored then return stored == ARGV[6] and 'accepted' or 'repeated' end
if round == 1 and redis.call('HLEN', messages) >= tonumber(redis.call('HGET', KEYS[1], 'max_clients')) then
    return 'full'
end
if current ~= round then return 'wrong round' end
if round > 1 and redis.call('HEXISTS', KEYS[round], ARGV[5]) == 0 then return 'stranger' end
redis.call('HSET', messages, ARGV[5], ARGV[6])
for place = 7, #ARGV, 2 do redis.call('HSET', KEYS[6], ARGV[place], ARGV[place + 1]) end
expire(redis.call('PTTL', KEYS[1]))
return 'accepted'
"""
_FINISH = """
if redis.call('HGET', KEYS[1], 'round') ~= '5' or redis.call('HEXISTS', KEYS[1], 'sum') == 1 then return end
local clients = redis.call('HGET', KEYS[1], 'clients')
if ARGV[4] == '' then return finish(0, clients) end
redis.call('HSET', KEYS[1], 'sum', ARGV[4])
finish(5, clients)
"""


class RedisAggregationStore:
    """Aggregations in Redis, which expire."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def create(self, aggregation_id: str, terms: AggregationTerms, now_ms: int) -> bool:
        """Begin an aggregation.

        Args:
            aggregation_id: The id of the aggregation.
            terms: Its terms.
            now_ms: The time, in ms since the epoch.
        """
        values = (MAX_OPEN, terms.counters, terms.threshold, terms.max_clients, terms.round_ms)
        return bool(await self._run(_CREATE, aggregation_id, now_ms, *map(str, values)))

    async def read(self, aggregation_id: str, now_ms: int, *, with_senders: bool = False) -> StoredAggregation | None:
        """Return an aggregation.

        Args:
            aggregation_id: The id of the aggregation.
            now_ms: The time, in ms since the epoch.
            with_senders: Whether to return the clients of all rounds as well.
        """
        result = await self._run(_READ, aggregation_id, now_ms, "1" if with_senders else "0")
        if result is None:
            return None
        number, counters, threshold, max_clients, round_ms, closes_at, clients = map(int, result[:7])
        return StoredAggregation(
            terms=AggregationTerms(counters=counters, threshold=threshold, max_clients=max_clients, round_ms=round_ms),
            round=number,
            closes_at=closes_at,
            clients=clients,
            senders=tuple([name.decode() for name in names] for names in result[7:]),
        )

    async def add(self, aggregation_id: str, message: RoundMessage, now_ms: int) -> Outcome:
        """Store a message.

        Args:
            aggregation_id: The id of the aggregation.
            message: The message.
            now_ms: The time, in ms since the epoch.
        """
        fields = [
            part for receiver, share in message.shares.items() for part in (_field(receiver, message.user_id), share)
        ]
        arguments = (str(message.round), message.user_id, message.content, *fields)
        outcome: bytes = await self._run(_ADD, aggregation_id, now_ms, *arguments)
        return cast("Outcome", outcome.decode())

    async def messages(self, aggregation_id: str, number: int) -> dict[str, bytes]:
        """Return the contents of a round's messages.

        Args:
            aggregation_id: The id of the aggregation.
            number: The round (1 to 4).
        """
        with store_errors("reading an aggregation"):
            messages = cast("dict[bytes, bytes]", await self._redis.hgetall(_keys(aggregation_id)[number]))
        return {name.decode(): content for name, content in messages.items()}

    async def shares_for(self, aggregation_id: str, user_id: str, senders: Sequence[str]) -> dict[str, bytes]:
        """Return the encrypted shares for a client.

        Args:
            aggregation_id: The id of the aggregation.
            user_id: The client.
            senders: The clients of the second round.
        """
        if not senders:
            return {}
        fields = [_field(user_id, sender) for sender in senders]
        with store_errors("reading an aggregation"):
            shares = cast("list[bytes | None]", await self._redis.hmget(_keys(aggregation_id)[ROUNDS + 1], fields))
        return {sender: share for sender, share in zip(senders, shares, strict=True) if share is not None}

    async def finish(self, aggregation_id: str, counters: Sequence[int] | None) -> None:
        """Store the sum.

        Args:
            aggregation_id: The id of the aggregation.
            counters: The sum; None if there is none.
        """
        await self._run(_FINISH, aggregation_id, 0, b"" if counters is None else msgspec.json.encode(counters))

    async def read_sum(self, aggregation_id: str) -> list[int] | None:
        """Return the sum."""
        with store_errors("reading an aggregation"):
            data = cast("bytes | None", await self._redis.hget(_keys(aggregation_id)[0], "sum"))
        return None if data is None else msgspec.json.decode(data, type=list[int])

    async def _run(self, script: str, aggregation_id: str, now_ms: int, *arguments: str | bytes) -> Any:
        keys = (*_keys(aggregation_id), OPEN_KEY)
        common = (aggregation_id, str(now_ms), str(KEPT_MS))
        with store_errors("moving an aggregation"):
            return await self._redis.eval(_SCRIPT + script, len(keys), *keys, *common, *arguments)


def _keys(aggregation_id: str) -> tuple[str, ...]:
    """Return the keys of an aggregation: itself, its rounds, and the shares."""
    return tuple(f"{KEY}{part}:{aggregation_id}" for part in ("terms", *range(1, ROUNDS + 1), "shares"))


def _field(receiver: str, sender: str) -> str:
    return f"{receiver}\0{sender}"
