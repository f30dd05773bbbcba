"""The client for Claude, through the real SDK, against a double that speaks its protocol, faults included."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import pytest
from redis.asyncio import Redis

from infra.address import Addresses
from infra.fakes.fake_claude import KEY, FakeClaude, Fault
from infra.llm import LlmError, Prompt, PromptAnswer
from infra.llm.client import Llm, connect
from infra.redis.connection import StoreError
from infra.redis.connection import connect as connect_redis
from infra.settings import Settings
from schemas.types import LlmCall
from streams.core.ranking.llm_judge import Scores


class Item(msgspec.Struct):
    """A thing to do."""

    title: str
    topics: Annotated[list[str], msgspec.Meta(max_length=5)]


class Items(msgspec.Struct):
    """Things to do."""

    items: Annotated[list[Item], msgspec.Meta(max_length=10)]


def a_prompt(**overrides: Any) -> Prompt[Items]:
    """Return a question for things to do."""
    fields: dict[str, Any] = {
        "system": "You know what is on in town.",
        "user": '{"category": "music", "city": "New York"}',
        "answer": Items,
        "purpose": "test",
        "version": "1",
        "user_id": "u1",
        "category": "music",
    }
    return Prompt(**(fields | overrides))


class Bench:
    """A double, a client of it, and what the client logged."""

    def __init__(self, claude: FakeClaude, settings: Settings, redis: Redis) -> None:
        self.claude, self.settings, self.redis = claude, settings, redis
        self.calls: list[LlmCall] = []

    def client(self, **settings: Any) -> AbstractAsyncContextManager[Llm]:
        """Return a client with some settings of its own."""
        return connect(replace(self.settings, **settings), self.redis, self.calls.append)

    async def ask(self, **settings: Any) -> PromptAnswer[Items]:
        """Ask one question with a client of its own."""
        async with self.client(**settings) as llm:
            return await llm.ask(a_prompt())

    async def reason(self, prompt: Prompt[Items] | None = None, **settings: Any) -> str:
        """Return why a question has no answer."""
        async with self.client(**settings) as llm:
            with pytest.raises(LlmError) as caught:
                await llm.ask(prompt or a_prompt())
            assert llm.outcomes[caught.value.reason] == 1
            return caught.value.reason

    async def spent(self, whose: str) -> int:
        """Return what is counted against a budget, in millionths of a dollar."""
        return sum([int(await self.redis.get(key)) async for key in self.redis.scan_iter(f"llm:spent:*:{whose}")])


@pytest.fixture
async def redis(stack: Addresses) -> AsyncIterator[Redis]:
    client = connect_redis(stack.redis_url.removesuffix("/0") + "/8")  # a database of its own, to be emptied
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def bench(redis: Redis) -> AsyncIterator[Bench]:
    claude = FakeClaude(cache_from_tokens=1)
    async with claude.serve() as url:
        settings = replace(Settings(), anthropic_api_key=KEY, llm_base_url=url, llm_max_retries=0, llm_timeout_s=5.0)
        yield Bench(claude, settings, redis)


async def test_an_answer_is_of_the_questions_type_and_accounted_for(bench: Bench) -> None:
    answer = await bench.ask()
    assert answer.value.items[0] == Item("Late Set at the Blue Lantern, New York", ["jazz", "live"])
    [body], [call] = bench.claude.requests, bench.calls
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["tools"][0]["input_schema"]["type"] == "object"
    assert "u1" not in str(body)
    assert (call.outcome, call.attempts, call.user_id, call.prompt_hash) == ("answered", 1, "u1", answer.hash)
    assert msgspec.json.decode(call.response, type=Items) == answer.value
    assert answer.tokens == call.input_tokens + call.output_tokens + call.cache_write_tokens
    dollars = call.input_tokens * 1.0 + call.output_tokens * 5.0 + call.cache_write_tokens * 1.25
    assert answer.cost_usd == call.cost_usd == pytest.approx(dollars / 1e6, abs=1e-6)


async def test_the_cost_is_reported(bench: Bench) -> None:
    async with bench.client() as llm:
        answers = [await llm.ask(a_prompt(user_id=user_id)) for user_id in ("u1", "u1")]
        assert llm.describe()["spent_usd"] == pytest.approx(answers[0].cost_usd), "an answer given before costs nothing"


async def test_the_stable_part_is_read_from_the_providers_cache(bench: Bench) -> None:
    async with bench.client() as llm:
        await llm.ask(a_prompt())
        await llm.ask(a_prompt(user='{"category": "movies"}'))
    first, second = bench.calls
    assert first.cache_write_tokens == second.cache_read_tokens > 0
    assert (first.cache_read_tokens, second.cache_write_tokens) == (0, 0)


async def test_what_was_answered_is_never_asked_again(bench: Bench) -> None:
    first = await bench.ask()
    again = await bench.ask(anthropic_api_key="")  # a replay needs no key
    assert (again.value, again.hash, again.is_cached, again.cost_usd) == (first.value, first.hash, True, 0.0)
    assert len(bench.claude.requests) == len(bench.calls) == 1


async def test_another_question_is_asked(bench: Bench) -> None:
    async with bench.client() as llm:
        hashes = {(await llm.ask(a_prompt(**change))).hash for change in ({}, {"system": "x"}, {"user": "y"})}
        assert (await llm.ask(a_prompt(user_id="u2"))).is_cached, "equal questions of two users have one answer"
    assert len(hashes) == len(bench.claude.requests) == 3


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


GOOD: dict[str, Any] = {"title": "Trio Night", "topics": ["jazz"]}
OTHER: dict[str, Any] = {"title": "Ridge Trail", "topics": ["hiking"]}
LIST = json.dumps([GOOD, OTHER])
INPUTS: list[tuple[str, Any, list[str], int]] = [
    ("an entry without a title", {"items": [GOOD, {"topics": ["jazz"]}]}, ["Trio Night"], 1),
    ("an entry with a blank title", {"items": [{"title": " ", "topics": []}, GOOD]}, ["Trio Night"], 1),
    ("an entry that is null", {"items": [None, GOOD]}, ["Trio Night"], 1),
    ("an entry that is text", {"items": ["Trio Night", GOOD]}, ["Trio Night"], 1),
    ("null for what may be absent", {"items": [GOOD | {"by": None, "year": None}]}, ["Trio Night"], 0),
    ("further fields", {"items": [GOOD | {"mood": "late", "extra": {"a": 1}}], "note": "x"}, ["Trio Night"], 0),
    ("a list as JSON text", {"items": LIST}, ["Trio Night", "Ridge Trail"], 0),
    ("entries as JSON text", {"items": [json.dumps(GOOD), json.dumps(OTHER)]}, ["Trio Night", "Ridge Trail"], 0),
    ("one object in place of a list", {"items": GOOD}, ["Trio Night"], 0),
    ("the list under a name of its own", {"items": {"item": [GOOD, OTHER]}}, ["Trio Night", "Ridge Trail"], 0),
    ("numbered entries", {"items": {"0": GOOD, "1": OTHER}}, ["Trio Night", "Ridge Trail"], 0),
    ("lists in a list", {"items": [[GOOD], [OTHER]]}, ["Trio Night", "Ridge Trail"], 0),
    ("another name for the list", {"suggestions": [GOOD]}, ["Trio Night"], 0),
    ("the answer within another object", {"parameters": {"items": [GOOD]}}, ["Trio Night"], 0),
    ("the answer as JSON text", {"input": json.dumps({"items": [GOOD]})}, ["Trio Night"], 0),
    ("one entry alone", GOOD, ["Trio Night"], 0),
    ("a title that is a number", {"items": [GOOD | {"title": 1984}]}, ["1984"], 0),
    ("one word in place of a list", {"items": [GOOD | {"topics": "jazz"}]}, ["Trio Night"], 0),
    ("a list of words as JSON text", {"items": [GOOD | {"topics": '["jazz", "live"]'}]}, ["Trio Night"], 0),
    ("numbers and objects among words", {"items": [GOOD | {"topics": ["jazz", 7, {"a": 1}, None]}]}, ["Trio Night"], 0),
    ("half of a surrogate pair", {"items": [GOOD | {"title": "Trio \ud83d"}]}, ["Trio ?"], 0),
    ("longer lists than wanted", {"items": [GOOD | {"topics": ["a"] * 99}] * 40}, ["Trio Night"] * 10, 0),
]


@pytest.mark.parametrize(("value", "titles", "dropped"), [row[1:] for row in INPUTS], ids=[row[0] for row in INPUTS])
async def test_what_is_usable_of_an_answer_is_used(bench: Bench, value: Any, titles: list[str], dropped: int) -> None:
    bench.claude.messages.append(([bench.claude.use("answer", value)], "tool_use"))
    answer = await bench.ask()
    assert [item.title for item in answer.value.items] == titles
    assert all(item.topics for item in answer.value.items)
    [call] = bench.calls
    assert (call.outcome, call.dropped) == ("answered", dropped)
    assert len(call.problems) >= dropped
    again = await bench.ask(anthropic_api_key="")
    assert (again.value, again.is_cached) == (answer.value, True), "what is recalled is what was used"


THINKING = {"type": "thinking", "thinking": "Let me see.", "signature": "x"}
TEXT = json.dumps({"items": [GOOD, OTHER]})
BOTH = ["Trio Night", "Ridge Trail"]


def use(*entries: Any) -> dict[str, Any]:
    """Return the block of a tool's use."""
    return {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {"items": list(entries)}}


def text(words: str) -> dict[str, Any]:
    """Return a block of text."""
    return {"type": "text", "text": words}


MESSAGES: list[tuple[str, list[dict[str, Any]], str, list[str]]] = [
    ("JSON in place of a tool's use", [text(TEXT)], "end_turn", BOTH),
    ("JSON in a fence", [text(f"Sure!\n```json\n{TEXT}\n```")], "end_turn", BOTH),
    ("words before the tool's use", [text("Here:"), use(GOOD)], "tool_use", ["Trio Night"]),
    ("thinking before it", [THINKING, use(GOOD)], "tool_use", ["Trio Night"]),
    ("a block of a kind that is not known", [{"type": "new"}, use(GOOD)], "tool_use", ["Trio Night"]),
    ("a block with a null", [use(GOOD) | {"text": None}], "tool_use", ["Trio Night"]),
    ("two uses of the tool", [use(GOOD), use(OTHER)], "tool_use", BOTH),
    ("an answer that ends the turn", [use(GOOD)], "end_turn", ["Trio Night"]),
    ("a last entry that may lack its end", [use(GOOD, OTHER)], "max_tokens", ["Trio Night"]),
    ("the same at the end of the context", [use(GOOD, OTHER)], "model_context_window_exceeded", ["Trio Night"]),
    ("text cut in the second entry", [text(TEXT[:-12])], "max_tokens", ["Trio Night"]),
    ("text cut right after an entry", [text(TEXT[:-2])], "max_tokens", BOTH),
    ("a list as text, cut", [use() | {"input": {"items": LIST[:-9]}}], "max_tokens", ["Trio Night"]),
]


@pytest.mark.parametrize(
    ("content", "stop_reason", "titles"), [row[1:] for row in MESSAGES], ids=[row[0] for row in MESSAGES]
)
async def test_a_message_of_another_form_is_read_all_the_same(
    bench: Bench, content: list[dict[str, Any]], stop_reason: str, titles: list[str]
) -> None:
    bench.claude.messages.append((content, stop_reason))
    assert [item.title for item in (await bench.ask()).value.items] == titles
    assert bench.calls[0].outcome == "answered"


NOTHING: list[tuple[str, Any, str, str]] = [
    ("no tool's input", None, "tool_use", "malformed"),
    ("an empty input", {}, "tool_use", "malformed"),
    ("entries none of which is usable", {"items": [{"topics": ["jazz"]}, 5]}, "tool_use", "malformed"),
    ("a number in place of the list", {"items": 5}, "tool_use", "malformed"),
    ("an input that was cut at once", {}, "max_tokens", "truncated"),
    ("an only entry that may lack its end", {"items": [GOOD]}, "max_tokens", "truncated"),
    ("a text that was cut in its first entry", {"items": LIST[:20]}, "max_tokens", "truncated"),
]


@pytest.mark.parametrize(
    ("value", "stop_reason", "reason"), [row[1:] for row in NOTHING], ids=[row[0] for row in NOTHING]
)
async def test_where_nothing_is_usable_there_is_a_reason(
    bench: Bench, value: Any, stop_reason: str, reason: str
) -> None:
    bench.claude.messages.append(([bench.claude.use("answer", value)], stop_reason))
    assert await bench.reason() == reason
    assert [call.outcome for call in bench.calls] == [reason]
    assert not (await bench.ask()).is_cached


async def test_an_empty_list_is_an_answer(bench: Bench) -> None:
    bench.claude.messages.append(([bench.claude.use("answer", {"items": []})], "tool_use"))
    assert (await bench.ask()).value.items == []


async def test_flaws_are_named_in_the_log(bench: Bench) -> None:
    bench.claude.faults.append("flawed")
    answer = await bench.ask()
    [call] = bench.calls
    assert len(answer.value.items) == 6
    assert (call.dropped, call.problems) == (1, ["items[2]: title is missing"])
    assert msgspec.json.decode(call.response, type=Items) == answer.value


async def test_flawed_scores_cost_only_themselves(bench: Bench) -> None:
    candidates = [{"id": number, "title": f"Trio {number}", "category": "music", "topics": []} for number in range(4)]
    bench.claude.faults.append("flawed")
    prompt = a_prompt(user=json.dumps({"stated": ["music"], "candidates": candidates}), answer=Scores)
    async with bench.client() as llm:
        answer: PromptAnswer[Any] = await llm.ask(prompt)
    assert [scored.id for scored in answer.value.scores] == [0, 1, 2, 3]
    assert (bench.calls[0].dropped, bench.calls[0].problems) == (1, ["scores[2]: id is missing"])


async def test_a_refusal_names_its_category_and_is_paid_for(bench: Bench) -> None:
    bench.claude.faults.append("refusal")
    async with bench.client() as llm:
        with pytest.raises(LlmError, match="cyber"):
            await llm.ask(a_prompt())
    assert await bench.spent("all") > 0


async def test_a_paused_turn_is_gone_on_with_and_paid_for(bench: Bench) -> None:
    bench.claude.faults.append("paused")
    answer = await bench.ask()
    first, second = bench.claude.requests
    assert second["messages"][:-1] == first["messages"]
    assert second["messages"][-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Let me look further."}],
    }
    [call] = bench.calls
    assert (call.outcome, call.attempts) == ("answered", 2)
    assert answer.tokens == call.input_tokens + call.output_tokens + call.cache_write_tokens + call.cache_read_tokens
    assert await bench.spent("all") == round(call.cost_usd * 1e6)


async def test_a_model_that_only_pauses_is_given_up(bench: Bench) -> None:
    bench.claude.permanent_fault = "paused"
    assert await bench.reason() == "malformed"
    assert len(bench.claude.requests) == 3


async def test_what_the_model_said_amiss_is_in_the_log_and_paid_for(bench: Bench) -> None:
    bench.claude.faults.append("text")
    assert await bench.reason() == "malformed"
    [call] = bench.calls
    assert call.response == "Here is what I would suggest."
    assert await bench.spent("all") == round(call.cost_usd * 1e6) > 0


async def test_a_bad_answer_is_not_kept(bench: Bench) -> None:
    bench.claude.faults.append("malformed")
    assert await bench.reason() == "malformed"
    assert not (await bench.ask()).is_cached


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


async def test_no_more_questions_than_allowed_are_under_way(bench: Bench) -> None:
    bench.claude.delay_s = 0.05
    async with bench.client(llm_concurrency=3, llm_budget_user_usd=5.0) as llm:
        await asyncio.gather(*(llm.ask(a_prompt(user=str(number))) for number in range(12)))
    assert bench.claude.max_in_flight == 3


@pytest.mark.parametrize(
    ("budget", "whose"),
    [("llm_budget_usd", "all"), ("llm_budget_category_usd", "category:music"), ("llm_budget_user_usd", "user:u1")],
)
async def test_each_budget_limits_only_its_own_questions(bench: Bench, budget: str, whose: str) -> None:
    async with bench.client(**{budget: 0.02}) as llm:

        async def ask_on() -> None:
            for number in range(100):
                await llm.ask(a_prompt(user=str(number)))

        with pytest.raises(LlmError, match="over_budget") as caught:
            await ask_on()
        assert whose in caught.value.detail
        assert len(bench.claude.requests) > 2
        assert await bench.spent(whose) == sum(round(call.cost_usd * 1e6) for call in bench.calls)
        others = {"all": {}, "category:music": {"category": "movies"}, "user:u1": {"user_id": "u2"}}[whose]
        if others:
            await llm.ask(a_prompt(user="of another", **others))
    assert {await bench.redis.ttl(key) > 0 async for key in bench.redis.scan_iter("llm:spent:*")} == {True}


async def test_a_budget_holds_among_many_at_once(bench: Bench) -> None:
    bench.claude.delay_s = 0.05
    async with bench.client(llm_budget_usd=0.02, llm_concurrency=50) as llm:
        asking = (llm.ask(a_prompt(user=str(number))) for number in range(50))
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    answered = [one for one in outcomes if isinstance(one, PromptAnswer)]
    assert 0 < len(answered) < 50
    assert sum(one.cost_usd for one in answered) <= 0.02


async def test_what_was_not_charged_is_given_back(bench: Bench) -> None:
    bench.claude.permanent_fault = "overloaded"
    assert await bench.reason() == "overloaded"
    assert await bench.spent("all") == 0


async def test_claude_is_asked_through_bedrock_too(bench: Bench) -> None:
    bedrock = {
        "llm_provider": "bedrock",
        "anthropic_api_key": "",
        "aws_access_key_id": KEY,
        "aws_secret_access_key": "secret",
        "llm_model": "anthropic.claude-haiku-4-5-20251001-v1:0",
    }
    assert (await bench.ask(**bedrock)).value.items
    assert [body["model"] for body in bench.claude.requests] == [bedrock["llm_model"]]
    bench.claude.faults.append("rate_limited")
    assert await bench.reason(a_prompt(user="again"), **bedrock) == "rate_limited"
    assert await bench.reason(a_prompt(user="and again"), **bedrock | {"aws_access_key_id": "other"}) == "no_key"
    assert await bench.reason(a_prompt(user="without"), **bedrock | {"aws_secret_access_key": ""}) == "no_key"


async def test_nothing_is_asked_while_redis_is_away(bench: Bench) -> None:
    away = connect_redis("redis://127.0.0.1:9/0")
    async with connect(bench.settings, away, bench.calls.append) as llm:
        with pytest.raises(StoreError):
            await llm.ask(a_prompt())
    await away.aclose()
    assert bench.claude.requests == []
