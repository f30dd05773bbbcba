"""Daily budgets for the language model: in total, per category and per user, in millionths of a dollar, in Redis.

`llm:spent:{day}:all`, `llm:spent:{day}:category:{category}`, `llm:spent:{day}:user:{user_id}`; days are in UTC.
The maximum cost of a question is reserved from all its budgets atomically, or from none; the difference to the actual
cost is returned afterwards. A reservation that a crash leaves behind expires with the day.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis

from domain.timestamp import DAY_S, utc_time
from infra.llm.llm_error import LlmError
from infra.llm.prompt import Prompt, input_schema
from infra.redis.connection import StoreError, store_errors
from infra.settings import Settings

KEY = "llm:spent:"
MILLION = 1_000_000
_TTL_S = 2 * DAY_S
_BYTES_PER_TOKEN = 2
"""Lower than in most texts, so that estimates are too high rather than too low."""
_LOG = logging.getLogger(__name__)

# KEYS: the counters. ARGV: the amount to reserve, seconds to live, then the limit of each counter.
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
    """Tokens of one message, as the provider counts them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def total(self) -> int:
        """Return the total number of tokens."""
        cache_tokens = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return self.input_tokens + self.output_tokens + cache_tokens

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of the tokens of two messages."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            (self.cache_creation_input_tokens or 0) + (other.cache_creation_input_tokens or 0),
            (self.cache_read_input_tokens or 0) + (other.cache_read_input_tokens or 0),
        )


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Prices in dollars per million tokens, which equals millionths of a dollar per token."""

    input: float
    output: float
    cache_write: float
    cache_read: float

    @classmethod
    def from_settings(cls, settings: Settings) -> TokenPrices:
        """Return the prices in the settings."""
        return cls(
            settings.llm_price_input_usd,
            settings.llm_price_output_usd,
            settings.llm_price_cache_write_usd,
            settings.llm_price_cache_read_usd,
        )

    def cost(self, usage: Usage) -> int:
        """Return the cost of an answer in millionths of a dollar."""
        return math.ceil(
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + (usage.cache_creation_input_tokens or 0) * self.cache_write
            + (usage.cache_read_input_tokens or 0) * self.cache_read
        )

    def max_cost(self, prompt: Prompt[msgspec.Struct]) -> int:
        """Return the maximum cost of an answer in millionths of a dollar."""
        schema = msgspec.json.encode(input_schema(prompt.answer))
        input_bytes = len(prompt.system.encode()) + len(prompt.user.encode()) + len(schema)
        dearest = max(self.input, self.cache_write)
        return math.ceil(input_bytes / _BYTES_PER_TOKEN * dearest + prompt.max_tokens * self.output)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The amount reserved for one question, in millionths of a dollar, and the keys of its budgets."""

    keys: tuple[str, ...]
    amount: int


class Budget:
    """The budgets of each day."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)
        self._all, self._category, self._user = (
            round(usd * MILLION)
            for usd in (settings.llm_budget_usd, settings.llm_budget_category_usd, settings.llm_budget_user_usd)
        )

    async def reserve(self, prompt: Prompt[msgspec.Struct], amount: int, *, now_ms: int) -> Reservation:
        """Reserve an amount from every budget of a question.

        Args:
            prompt: The question.
            amount: Amount in millionths of a dollar.
            now_ms: Current time in ms since the epoch; its day is charged.

        Raises:
            LlmError: `over_budget`; nothing was reserved.
            StoreError: Redis does not answer.
        """
        day = f"{KEY}{utc_time(now_ms):%Y%m%d}"
        limits = {f"{day}:all": self._all, f"{day}:user:{prompt.user_id}": self._user}
        if prompt.category:
            limits[f"{day}:category:{prompt.category}"] = self._category
        with store_errors("taking from the budget"):
            refusal = int(await self._take(keys=list(limits), args=[amount, _TTL_S, *limits.values()]))
        if refusal:
            budget_name = list(limits)[refusal - 1].removeprefix(f"{day}:")
            raise LlmError(
                "over_budget", f"the day's budget ({budget_name}) has no {amount / MILLION:.4f} dollars left"
            )
        return Reservation(tuple(limits), amount)

    async def settle(self, reservation: Reservation, cost: int) -> None:
        """Replace a reservation by the actual cost. It stays while Redis is unavailable, which is on the safe side."""
        pipeline = self._redis.pipeline(transaction=False)
        for key in reservation.keys:
            pipeline.incrby(key, cost - reservation.amount)
        try:
            with store_errors("settling the budget"):
                await pipeline.execute()
        except StoreError as error:
            _LOG.warning("%s", error)
