"""Client of the language model: cache lookup, admission, call, validation, accounting and logging of a question."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anthropic
import msgspec
import uuid_utils
from redis.asyncio import Redis

from infra import clock
from infra.llm.answer_cache import AnswerCache
from infra.llm.budget import MILLION, Budget, TokenPrices, Usage
from infra.llm.circuit_breaker import CircuitBreaker
from infra.llm.llm_error import LlmError, Reason
from infra.llm.prompt import Prompt, PromptAnswer, input_schema
from infra.llm.provider import (
    OVERLOADED,
    RATE_LIMITED,
    REQUEST_STATE,
    Provider,
    RequestState,
    RetryTooLateError,
    provider,
    retry_after_s,
)
from infra.llm.reading import Reading, UnreadableError, printable, read
from infra.llm.reply import CUT, PAUSED, REFUSAL, Reply, parse
from infra.settings import Settings
from schemas.types import LlmCall

ANSWERED = "answered"
"""Outcome of an answered question; the other outcomes are the reasons for a missing answer."""
_ANSWER_BYTES = 256 << 10
"""Maximum size of an answer that is used or logged."""
_DETAIL_CHARS = 300
_TOOL = "answer"
_FAILURES: frozenset[Reason] = frozenset({"no_key", "rate_limited", "overloaded", "timeout", "server_error"})
"""Reasons that the circuit breaker counts: they would affect the next question, too."""

_TURNS = 3
"""Maximum number of messages per answer when the model pauses."""

A = TypeVar("A", bound=msgspec.Struct)


@dataclass(slots=True)
class _Call:
    """A question in flight."""

    started_ms: int
    request_state: RequestState = field(default_factory=RequestState)
    outcome: str = "given_up"
    usage: Usage | None = None
    response: str = ""
    dropped_count: int = 0
    problems: list[str] = field(default_factory=list)


class Llm:
    """Sends questions to Claude within limits of time, rate and cost. Without a key nothing is sent."""

    def __init__(
        self, settings: Settings, redis: Redis, provider: Provider | None, log: Callable[[LlmCall], None]
    ) -> None:
        """Create a client.

        Args:
            settings: Limits, prices and the model.
            redis: Store of the cache and the budgets.
            provider: Client of the provider's SDK; None without a key.
            log: Takes an event for every question that was sent, answered or not.
        """
        self._settings, self._provider, self._log = settings, provider, log
        self._prices = TokenPrices.from_settings(settings)
        self._cache = AnswerCache(redis, ttl_s=settings.llm_answer_ttl_s)
        self._budget = Budget(redis, settings)
        self._breaker = CircuitBreaker(
            failures=settings.llm_breaker_failures, cooldown_s=settings.llm_breaker_cooldown_s
        )
        self._slots = asyncio.Semaphore(settings.llm_concurrency)
        self._cost_micro_usd = 0
        """Known cost of all questions in millionths of a dollar."""
        self.outcomes: Counter[str] = Counter()
        """Number of questions by outcome: answered, recalled, or the reason for a missing answer."""

    async def ask(self, prompt: Prompt[A]) -> PromptAnswer[A]:
        """Return the answer to a question, from the cache if it is there.

        Raises:
            LlmError: there is no answer; `reason` says why.
            StoreError: Redis does not answer, so nothing was sent.
        """
        name = prompt.hash(self._settings.llm_model)
        try:
            cached_value = _cached_value(await self._cache.read(name), prompt)
            answer = await self._allowed(prompt, name) if cached_value is None else self._recalled(cached_value, name)
        except LlmError as error:
            self.outcomes[error.reason] += 1
            raise
        self.outcomes["recalled" if answer.is_cached else ANSWERED] += 1
        return answer

    def describe(self) -> dict[str, Any]:
        """Return the client's part of a heartbeat."""
        is_open = self._breaker.is_open(time.monotonic())
        circuit = "no key" if self._provider is None else "open" if is_open else "closed"
        return {"circuit": circuit, "questions": dict(self.outcomes), "spent_usd": self._cost_micro_usd / MILLION}

    def _recalled(self, value: A, name: str) -> PromptAnswer[A]:
        return PromptAnswer(value=value, hash=name, model=self._settings.llm_model, is_cached=True)

    async def _allowed(self, prompt: Prompt[A], name: str) -> PromptAnswer[A]:
        """Wait for a slot, then ask if there is a key, the circuit is closed and the budgets suffice."""
        if self._provider is None:
            raise LlmError("no_key", "none is set for the language model")
        async with self._slots:
            if not self._breaker.allows(time.monotonic()):
                raise LlmError("open_circuit", "the provider has failed several times in a row, or asked to wait")
            call = _Call(clock.now_ms())
            reservation = await self._budget.reserve(prompt, self._prices.max_cost(prompt), now_ms=call.started_ms)
            try:
                return await self._asked(self._provider, prompt, call, name)
            finally:
                self._log(self._event(prompt, call, name))
                cost = self._cost(call)
                if cost is not None:
                    self._cost_micro_usd += cost
                    await self._budget.settle(reservation, cost)

    async def _asked(self, provider: Provider, prompt: Prompt[A], call: _Call, name: str) -> PromptAnswer[A]:
        """Send a question and validate its answer."""
        try:
            reading = _reading(await self._send(provider, prompt, call), prompt)
        except LlmError as error:
            call.outcome = error.reason
            if error.reason in _FAILURES:
                self._breaker.record_failure(time.monotonic(), retry_after_s=error.retry_after_s)
            else:
                self._breaker.record_success()
            raise
        self._breaker.record_success()
        call.outcome = ANSWERED
        # Cache the validated answer, not the raw one: a later read must not find other flaws in it.
        answer = msgspec.json.encode(reading.value)
        call.response, call.dropped_count, call.problems = answer.decode(), reading.dropped_count, reading.problems
        await self._cache.write(name, answer)
        usage = call.usage or Usage()
        return PromptAnswer(
            value=reading.value,
            hash=name,
            model=self._settings.llm_model,
            tokens=usage.total,
            cost_usd=self._prices.cost(usage) / MILLION,
            latency_ms=clock.now_ms() - call.started_ms,
        )

    async def _send(self, provider: Provider, prompt: Prompt[A], call: _Call) -> Reply:
        """Send a question, continue the turn while the model pauses, and return its last message; all messages cost."""
        within_s = self._settings.llm_deadline_s
        call.request_state.until_s = asyncio.get_running_loop().time() + within_s
        messages: list[Any] = [{"role": "user", "content": prompt.user}]
        try:
            async with asyncio.timeout(within_s):
                for _ in range(_TURNS):
                    reply = await self._turn(provider, prompt, messages, call.request_state)
                    if reply.usage is not None:
                        call.usage = (call.usage or Usage()) + reply.usage
                    call.response = reply.text
                    if reply.stop_reason != PAUSED:
                        return reply
                    if reply.content:
                        messages.append({"role": "assistant", "content": reply.content})
        except TimeoutError as error:
            raise LlmError(_reason(call.request_state.status), f"not within {within_s:g} s") from error
        raise LlmError("malformed", f"the model paused {_TURNS} times")

    async def _turn(
        self, provider: Provider, prompt: Prompt[A], messages: list[Any], request_state: RequestState
    ) -> Reply:
        """Send a conversation with the SDK's retries and return the model's message."""
        REQUEST_STATE.set(request_state)
        try:
            response = await provider.messages.with_raw_response.create(
                model=self._settings.llm_model,
                max_tokens=prompt.max_tokens,
                system=[{"type": "text", "text": prompt.system, "cache_control": {"type": "ephemeral"}}],
                messages=messages,
                tools=[
                    {"name": _TOOL, "description": "Give your answer.", "input_schema": input_schema(prompt.answer)}
                ],
                tool_choice={"type": "tool", "name": _TOOL, "disable_parallel_tool_use": True},
            )
            return parse(await response.read())
        except RetryTooLateError as error:
            raise LlmError(_reason(error.status), str(error), retry_after_s=error.retry_after_s) from error
        except anthropic.APITimeoutError as error:
            raise LlmError("timeout", str(error)) from error
        except anthropic.APIStatusError as error:
            pause_s = retry_after_s(error.response.headers)
            detail = str(error)[:_DETAIL_CHARS]
            raise LlmError(_reason(error.status_code), detail, retry_after_s=pause_s) from error
        except anthropic.APIConnectionError as error:
            raise LlmError("server_error", f"{error}: {error.__cause__}") from error

    def _cost(self, call: _Call) -> int | None:
        """Return the cost in millionths of a dollar, None if unknown: the call ended while the model was at work."""
        if call.usage is not None:
            return self._prices.cost(call.usage)
        return None if call.outcome in {"timeout", "given_up", "malformed"} else 0

    def _event(self, prompt: Prompt[A], call: _Call, name: str) -> LlmCall:
        usage = call.usage or Usage()
        now_ms = clock.now_ms()
        return LlmCall(
            call_id=str(uuid_utils.uuid7()),
            user_id=prompt.user_id,
            purpose=prompt.purpose,
            category=prompt.category,
            model=self._settings.llm_model,
            prompt_hash=name,
            prompt_version=prompt.version,
            outcome=call.outcome,
            attempts=call.request_state.attempts,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_write_tokens=usage.cache_creation_input_tokens or 0,
            cache_read_tokens=usage.cache_read_input_tokens or 0,
            cost_usd=self._prices.cost(usage) / MILLION,
            latency_ms=now_ms - call.started_ms,
            response=_cut(printable(call.response), _ANSWER_BYTES),
            dropped=call.dropped_count,
            problems=call.problems,
            occurred_at=now_ms,
        )


@asynccontextmanager
async def connect(settings: Settings, redis: Redis, log: Callable[[LlmCall], None]) -> AsyncIterator[Llm]:
    """Yield a client that logs its events by `log`, such as `partial(publisher.produce, LLM_CALLS)`."""
    client = provider(settings)
    try:
        yield Llm(settings, redis, client, log)
    finally:
        if client is not None:
            await client.close()


def _reason(status: int) -> Reason:
    """Return the reason for a status of the provider; 0 stands for no response."""
    reasons: dict[int, Reason] = {
        **dict.fromkeys((0, 408), "timeout"),
        **dict.fromkeys((401, 402, 403), "no_key"),
        RATE_LIMITED: "rate_limited",
        OVERLOADED: "overloaded",
    }
    return reasons.get(status, "server_error" if status >= 500 else "refused")


def _reading(reply: Reply, prompt: Prompt[A]) -> Reading[A]:
    """Return the usable part of a message."""
    if reply.stop_reason == REFUSAL:
        raise LlmError("refused", f"the model will not answer: {reply.detail}"[:_DETAIL_CHARS])
    size = len(reply.text)
    if size > _ANSWER_BYTES:
        raise LlmError("malformed", f"the answer has {size} characters")
    is_cut = reply.stop_reason in CUT
    try:
        return read(reply.payloads, prompt.answer, cut=is_cut)
    except UnreadableError as error:
        reason: Reason = "truncated" if is_cut else "malformed"
        raise LlmError(reason, f"{error} (the model stopped for {reply.stop_reason or 'no reason'})") from error


def _cached_value(answer: bytes | None, prompt: Prompt[A]) -> A | None:
    """Return a cached answer, None if there is none of the question's answer type."""
    with suppress(msgspec.MsgspecError):
        return None if answer is None else msgspec.json.decode(answer, type=prompt.answer)
    return None


def _cut(text: str, most_bytes: int) -> str:
    """Return the beginning of a text that fits into a number of bytes."""
    return text.encode()[:most_bytes].decode(errors="ignore")
