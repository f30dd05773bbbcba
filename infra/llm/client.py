"""The client: a question is looked up, allowed, asked, checked, paid for and logged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anthropic
import msgspec
import uuid_utils
from redis.asyncio import Redis

from infra import clock
from infra.breaker import Breaker
from infra.llm.budget import MILLION, Budget, Prices, Usage
from infra.llm.error import LlmError, Reason
from infra.llm.prompt import Answer, Prompt, input_schema
from infra.llm.provider import SENT, Provider, Sent, provider
from infra.llm.recall import Recall
from infra.settings import Settings
from schemas.types import LlmCall

ANSWERED = "answered"
"""Outcome of a question that has its answer; the other outcomes are the reasons why it has none."""
_ANSWER_BYTES = 256 << 10
"""Longest answer that is used or logged."""
_DETAIL_CHARS = 300
_TOOL = "answer"
_FAILURES: frozenset[Reason] = frozenset({"no_key", "rate_limited", "timeout", "server_error"})
"""What the circuit breaker counts: it would befall the next question, too."""

A = TypeVar("A", bound=msgspec.Struct)


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    input: msgspec.Raw = msgspec.Raw(b"null")


class _Reply(msgspec.Struct, frozen=True):
    content: list[_Block]
    usage: Usage
    stop_reason: str | None = None

    @property
    def answer(self) -> bytes:
        """Return what the tool was to be used with, or what the model said instead."""
        used = (bytes(block.input) for block in self.content if block.type == "tool_use")
        return next(used, None) or "\n".join(block.text for block in self.content).encode()


@dataclass(slots=True)
class _Call:
    """A question on its way."""

    started_ms: int
    sent: Sent = field(default_factory=Sent)
    outcome: str = "given_up"
    usage: Usage | None = None
    answer: bytes = b""


class Llm:
    """Asks Claude within limits of time, rate and money. Without a key nothing is sent."""

    def __init__(
        self, settings: Settings, redis: Redis, provider: Provider | None, log: Callable[[LlmCall], None]
    ) -> None:
        """`log` takes an event for every question that was sent, answered or not."""
        self._settings, self._provider, self._log = settings, provider, log
        self._prices = Prices.of(settings)
        self._recall = Recall(redis, ttl_s=settings.llm_answer_ttl_s)
        self._budget = Budget(redis, settings)
        self._breaker = Breaker(failures=settings.llm_breaker_failures, cooldown_s=settings.llm_breaker_cooldown_s)
        self._slots = asyncio.Semaphore(settings.llm_concurrency)
        self._spent = 0
        """Millionths of a dollar that questions are known to have cost."""
        self.outcomes: Counter[str] = Counter()
        """Questions by what came of them: answered, recalled, or why there was no answer."""

    async def ask(self, prompt: Prompt[A]) -> Answer[A]:
        """Return the answer to a question: the one given before, where there is one.

        Raises:
            LlmError: there is none; `reason` says why.
            StoreError: Redis did not answer, so that nothing was asked.
        """
        name = prompt.hash(self._settings.llm_model)
        try:
            known = await self._recall.read(name)
            answer = self._recalled(known, prompt, name) if known else await self._allowed(prompt, name)
        except LlmError as error:
            self.outcomes[error.reason] += 1
            raise
        self.outcomes["recalled" if answer.recalled else ANSWERED] += 1
        return answer

    def describe(self) -> dict[str, Any]:
        """Return what a sign of life tells."""
        circuit = "no key" if self._provider is None else "open" if self._breaker.is_open else "closed"
        return {"circuit": circuit, "questions": dict(self.outcomes), "spent_usd": self._spent / MILLION}

    def _recalled(self, known: bytes, prompt: Prompt[A], name: str) -> Answer[A]:
        return Answer(value=_checked(known, prompt), hash=name, model=self._settings.llm_model, recalled=True)

    async def _allowed(self, prompt: Prompt[A], name: str) -> Answer[A]:
        """Ask when there is a slot, if there is a key, a closed circuit and money."""
        if self._provider is None:
            raise LlmError("no_key", "none is set for the language model")
        async with self._slots:
            if not self._breaker.allows(time.monotonic()):
                raise LlmError("open_circuit", "the provider has failed several times in a row")
            call = _Call(clock.now_ms())
            taken = await self._budget.take(prompt, self._prices.most(prompt), now_ms=call.started_ms)
            try:
                return await self._asked(self._provider, prompt, call, name)
            finally:
                self._log(self._event(prompt, call, name))
                cost = self._cost(call)
                if cost is not None:
                    self._spent += cost
                    await self._budget.settle(taken, cost)

    async def _asked(self, provider: Provider, prompt: Prompt[A], call: _Call, name: str) -> Answer[A]:
        """Send a question and check its answer."""
        try:
            reply = await self._send(provider, prompt, call.sent)
            call.usage, call.answer = reply.usage, reply.answer
            value = _checked(_whole(reply), prompt)
        except LlmError as error:
            call.outcome = error.reason
            if error.reason in _FAILURES:
                self._breaker.failed(time.monotonic())
            else:
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        call.outcome = ANSWERED
        await self._recall.write(name, call.answer)
        return Answer(
            value=value,
            hash=name,
            model=self._settings.llm_model,
            tokens=reply.usage.total,
            cost_usd=self._prices.cost(reply.usage) / MILLION,
            latency_ms=clock.now_ms() - call.started_ms,
        )

    async def _send(self, provider: Provider, prompt: Prompt[A], sent: Sent) -> _Reply:
        """Send a question, with the SDK's retries, and return what came back."""
        SENT.set(sent)
        try:
            async with asyncio.timeout(self._settings.llm_deadline_s):
                response = await provider.messages.with_raw_response.create(
                    model=self._settings.llm_model,
                    max_tokens=prompt.max_tokens,
                    system=[{"type": "text", "text": prompt.system, "cache_control": {"type": "ephemeral"}}],
                    messages=[{"role": "user", "content": prompt.user}],
                    tools=[
                        {
                            "name": _TOOL,
                            "description": "Give your answer.",
                            "input_schema": input_schema(prompt.answer),
                        }
                    ],
                    tool_choice={"type": "tool", "name": _TOOL, "disable_parallel_tool_use": True},
                )
                body = await response.read()
            return msgspec.json.decode(body, type=_Reply)
        except TimeoutError as error:
            raise LlmError(_reason(sent.status), f"not within {self._settings.llm_deadline_s:g} s") from error
        except anthropic.APITimeoutError as error:
            raise LlmError("timeout", str(error)) from error
        except anthropic.APIStatusError as error:
            raise LlmError(_reason(error.status_code), str(error)[:_DETAIL_CHARS]) from error
        except anthropic.APIConnectionError as error:
            raise LlmError("server_error", f"{error}: {error.__cause__}") from error
        except msgspec.MsgspecError as error:
            raise LlmError("malformed", f"not a message: {error}") from error

    def _cost(self, call: _Call) -> int | None:
        """Return what a question cost, None when nobody knows: it was cut off while the model was at work."""
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
            attempts=call.sent.attempts,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_write_tokens=usage.cache_creation_input_tokens or 0,
            cache_read_tokens=usage.cache_read_input_tokens or 0,
            cost_usd=self._prices.cost(usage) / MILLION,
            latency_ms=now_ms - call.started_ms,
            response=call.answer[:_ANSWER_BYTES].decode(errors="replace"),
            occurred_at=now_ms,
        )


@asynccontextmanager
async def connect(settings: Settings, redis: Redis, log: Callable[[LlmCall], None]) -> AsyncIterator[Llm]:
    """Yield a client. It takes `log`, such as `partial(publisher.produce, LLM_CALLS)`, for its events."""
    found = provider(settings)
    try:
        yield Llm(settings, redis, found, log)
    finally:
        if found is not None:
            await found.close()


def _reason(status: int) -> Reason:
    """Return what a status of the provider means; 0 is none at all."""
    if status in {0, 408}:
        return "timeout"
    if status in {401, 403}:
        return "no_key"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 else "refused"


def _whole(reply: _Reply) -> bytes:
    """Return an answer that the model has come to the end of."""
    if reply.stop_reason == "refusal":
        raise LlmError("refused", "the model will not answer")
    if reply.stop_reason != "tool_use":
        raise LlmError("malformed", f"the model stopped for {reply.stop_reason}")
    if len(reply.answer) > _ANSWER_BYTES:
        raise LlmError("malformed", f"the answer has {len(reply.answer)} bytes")
    return reply.answer


def _checked(answer: bytes, prompt: Prompt[A]) -> A:
    """Return an answer as what the question's type says it must be."""
    try:
        return msgspec.json.decode(answer, type=prompt.answer)
    except msgspec.MsgspecError as error:
        raise LlmError("malformed", str(error)) from error
