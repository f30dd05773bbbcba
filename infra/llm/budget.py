"""What may be spent in a day: by all, for a category, for a user. Counted in Redis, in millionths of a dollar.

`llm:spent:{day}:all`, `llm:spent:{day}:category:{category}`, `llm:spent:{day}:user:{user_id}`; days are those of UTC.
The most that a question can cost is taken from all its budgets at once, or from none; what it did not cost is given
back. What a crash leaves taken is forgotten with the day.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from redis.asyncio import Redis

from infra.llm.llm_error import LlmError
from infra.llm.prompt import Prompt, input_schema
from infra.redis.connection import StoreError, store_errors
from infra.settings import Settings

KEY = "llm:spent:"
MILLION = 1_000_000
_LIVES_S = 2 * 86_400
_BYTES_PER_TOKEN = 2
"""Fewer than there are in most texts, so that an estimate is rather too high."""
_LOG = logging.getLogger(__name__)

# KEYS: the counters. ARGV: what to take, seconds to live, then the limit of each counter.
_TAKE = """
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') + tonumber(ARGV[1]) > tonumber(ARGV[2 + i]) then
    return i
  end
end
for _, key in ipairs(KEYS) do
  redis.call('INCRBY', key, ARGV[1])
  redis.call('EXPIRE', key, ARGV[2])
end
return 0
"""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer, as the provider counts them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def total(self) -> int:
        """Return all tokens."""
        cached = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return self.input_tokens + self.output_tokens + cached

    def __add__(self, other: Usage) -> Usage:
        """Return the tokens of two messages together."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            (self.cache_creation_input_tokens or 0) + (other.cache_creation_input_tokens or 0),
            (self.cache_read_input_tokens or 0) + (other.cache_read_input_tokens or 0),
        )


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Dollars per million tokens, which is millionths of a dollar per token."""

    input: float
    output: float
    cache_write: float
    cache_read: float

    @classmethod
    def of(cls, settings: Settings) -> TokenPrices:
        """Return the prices that are set."""
        return cls(
            settings.llm_price_input_usd,
            settings.llm_price_output_usd,
            settings.llm_price_cache_write_usd,
            settings.llm_price_cache_read_usd,
        )

    def cost(self, usage: Usage) -> int:
        """Return what an answer cost, in millionths of a dollar."""
        return math.ceil(
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + (usage.cache_creation_input_tokens or 0) * self.cache_write
            + (usage.cache_read_input_tokens or 0) * self.cache_read
        )

    def most(self, prompt: Prompt[msgspec.Struct]) -> int:
        """Return the most that an answer can cost."""
        schema = msgspec.json.encode(input_schema(prompt.answer))
        input_bytes = len(prompt.system.encode()) + len(prompt.user.encode()) + len(schema)
        dearest = max(self.input, self.cache_write)
        return math.ceil(input_bytes / _BYTES_PER_TOKEN * dearest + prompt.max_tokens * self.output)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was taken from budgets for one question."""

    keys: tuple[str, ...]
    amount: int


class Budget:
    """The budgets of a day."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)
        self._all, self._category, self._user = (
            round(usd * MILLION)
            for usd in (settings.llm_budget_usd, settings.llm_budget_category_usd, settings.llm_budget_user_usd)
        )

    async def take(self, prompt: Prompt[msgspec.Struct], amount: int, *, now_ms: int) -> Reservation:
        """Take an amount from every budget that a question has.

        Raises:
            LlmError: `over_budget`; nothing was taken.
            StoreError: Redis did not answer.
        """
        day = f"{KEY}{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%d}"
        limits = {f"{day}:all": self._all, f"{day}:user:{prompt.user_id}": self._user}
        if prompt.category:
            limits[f"{day}:category:{prompt.category}"] = self._category
        with store_errors("taking from the budget"):
            refused = int(await self._take(keys=list(limits), args=[amount, _LIVES_S, *limits.values()]))
        if refused:
            budget_name = list(limits)[refused - 1].removeprefix(f"{day}:")
            raise LlmError(
                "over_budget", f"the day's budget ({budget_name}) has no {amount / MILLION:.4f} dollars left"
            )
        return Reservation(tuple(limits), amount)

    async def settle(self, reservation: Reservation, cost: int) -> None:
        """Give back what was not spent. While Redis is away it stays taken, which errs on the side of thrift."""
        pipeline = self._redis.pipeline(transaction=False)
        for key in reservation.keys:
            pipeline.incrby(key, cost - reservation.amount)
        try:
            with store_errors("settling the budget"):
                await pipeline.execute()
        except StoreError as error:
            _LOG.warning("%s", error)
