"""Failures of the provider: each has its reason, is tried again or left alone, and is logged."""

import asyncio
import time

import pytest

from infra.fakes.fake_claude import Fault
from infra.llm import LlmError
from infra.llm.client import connect
from infra.redis.connection import StoreError
from infra.redis.connection import connect as connect_redis
from tests.contract.llm.llm_bench import Bench, a_prompt


async def test_without_a_key_nothing_is_sent(bench: Bench) -> None:
    assert await bench.reason(anthropic_api_key="") == "no_key"
    assert bench.claude.requests == bench.calls == []


async def test_a_rejected_key_is_distinguished_from_a_failure(bench: Bench) -> None:
    assert await bench.reason(anthropic_api_key="wrong", llm_max_retries=2) == "no_key"
    assert [call.attempts for call in bench.calls] == [1]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("rate_limited", "rate_limited"),
        ("server_error", "server_error"),
        ("spent", "no_key"),
        ("overloaded", "overloaded"),
        ("error_body", "overloaded"),
        ("garbage", "malformed"),
        ("malformed", "malformed"),
        ("cut", "truncated"),
        ("text", "malformed"),
        ("empty", "malformed"),
        ("refusal", "refused"),
    ],
)
async def test_every_fault_has_its_reason_and_is_logged(bench: Bench, fault: Fault, reason: str) -> None:
    assert await bench.reason(a_prompt(user=f"double:{fault}")) == reason
    [call] = bench.calls
    assert (call.outcome, call.attempts) == (reason, 1)


async def test_retry_after_is_waited_for(bench: Bench) -> None:
    bench.claude.faults.append("rate_limited")
    bench.claude.retry_after_s = 1.5  # the SDK's own first pause is half a second at most
    started_s = time.monotonic()
    await bench.ask(llm_max_retries=1)
    assert time.monotonic() - started_s >= 1.5
    assert [(call.outcome, call.attempts) for call in bench.calls] == [("answered", 2)]


async def test_a_provider_that_asks_for_a_pause_is_left_alone_for_so_long(bench: Bench) -> None:
    bench.claude.faults.append("rate_limited")
    async with bench.client() as llm:
        with pytest.raises(LlmError, match="rate_limited"):
            await llm.ask(a_prompt())
        with pytest.raises(LlmError, match="open_circuit"):
            await llm.ask(a_prompt(user="another"))
        assert llm.describe()["circuit"] == "open"
        async with asyncio.timeout(5):
            while llm.describe()["circuit"] == "open":  # noqa: ASYNC110 - it opens by the clock
                await asyncio.sleep(0.05)
        await llm.ask(a_prompt(user="another"))
    assert len(bench.claude.requests) == 2


async def test_a_pause_past_the_deadline_is_not_waited_for(bench: Bench) -> None:
    bench.claude.permanent_fault, bench.claude.retry_after_s = "rate_limited", 3_600
    started_s = time.monotonic()
    assert await bench.reason(llm_max_retries=5, llm_deadline_s=30.0) == "rate_limited"
    assert time.monotonic() - started_s < 10
    assert [call.attempts for call in bench.calls] == [1]


async def test_a_spent_limit_is_not_tried_again(bench: Bench) -> None:
    bench.claude.permanent_fault = "spent"
    assert await bench.reason(llm_max_retries=5) == "no_key"
    assert [call.attempts for call in bench.calls] == [1]


async def test_an_overloaded_provider_is_tried_again_and_then_left_alone(bench: Bench) -> None:
    bench.claude.faults.append("overloaded")
    await bench.ask(llm_max_retries=1)
    bench.claude.permanent_fault = "overloaded"
    assert await bench.reason(a_prompt(user="again"), llm_max_retries=1) == "overloaded"
    assert [(call.outcome, call.attempts) for call in bench.calls] == [("answered", 2), ("overloaded", 2)]


async def test_server_errors_are_tried_again_so_many_times(bench: Bench) -> None:
    bench.claude.faults.extend(["server_error", "overloaded"])
    await bench.ask(llm_max_retries=2)
    bench.claude.permanent_fault = "server_error"
    assert await bench.reason(a_prompt(user="again"), llm_max_retries=1) == "server_error"
    assert [(call.outcome, call.attempts) for call in bench.calls] == [("answered", 3), ("server_error", 2)]


async def test_a_slow_model_is_tried_again_and_then_given_up(bench: Bench) -> None:
    bench.claude.permanent_fault = "slow"
    assert await bench.reason(llm_timeout_s=0.1, llm_max_retries=1) == "timeout"
    assert [call.attempts for call in bench.calls] == [2]
    assert await bench.spent("all") > 0, "the provider may charge for what we did not wait for"


async def test_all_tries_together_have_a_deadline(bench: Bench) -> None:
    bench.claude.permanent_fault, bench.claude.retry_after_s = "rate_limited", 3_600
    started_s = time.monotonic()
    assert await bench.reason(llm_max_retries=5, llm_deadline_s=0.5) == "rate_limited"
    assert time.monotonic() - started_s < 3
    bench.claude.permanent_fault = "slow"
    assert await bench.reason(llm_deadline_s=0.2) == "timeout"


async def test_nobody_there_is_a_server_error(bench: Bench) -> None:
    assert await bench.reason(llm_base_url="http://127.0.0.1:9") == "server_error"


async def test_a_question_given_up_is_logged(bench: Bench) -> None:
    bench.claude.permanent_fault = "slow"
    async with bench.client() as llm:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(llm.ask(a_prompt()), 0.2)
    assert [call.outcome for call in bench.calls] == ["given_up"]


async def test_the_circuit_opens_after_failures_and_closes_after_a_success(bench: Bench) -> None:
    bench.claude.permanent_fault = "server_error"
    async with bench.client(llm_breaker_failures=2, llm_breaker_cooldown_s=0.3) as llm:

        async def outcome(number: int) -> str:
            try:
                await llm.ask(a_prompt(user=str(number)))
            except LlmError as error:
                return error.reason
            return "answered"

        async def next_outcome(number: int) -> str:
            while (reason := await outcome(number)) == "open_circuit":  # noqa: ASYNC110 - it is a matter of time
                await asyncio.sleep(0.01)
            return reason

        assert [await outcome(number) for number in range(4)] == ["server_error"] * 2 + ["open_circuit"] * 2
        assert llm.describe()["circuit"] == "open"
        assert len(bench.claude.requests) == 2
        assert [await next_outcome(4), await outcome(5)] == ["server_error", "open_circuit"]
        bench.claude.permanent_fault = None
        assert [await next_outcome(6), await outcome(7)] == ["answered"] * 2
        assert llm.describe()["circuit"] == "closed"


async def test_nothing_is_asked_while_redis_is_away(bench: Bench) -> None:
    away = connect_redis("redis://127.0.0.1:9/0")
    async with connect(bench.settings, away, bench.calls.append) as llm:
        with pytest.raises(StoreError):
            await llm.ask(a_prompt())
    await away.aclose()
    assert bench.claude.requests == []
