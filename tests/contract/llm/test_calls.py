"""The client for Claude, through the real SDK, against a double that speaks its protocol: questions and their costs."""

import asyncio

import msgspec
import pytest

from infra.fakes.fake_claude import KEY
from infra.llm import LlmError, PromptAnswer
from tests.contract.llm.llm_bench import Bench, Item, Items, a_prompt


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

        with pytest.raises(LlmError, match="over_budget") as exc_info:
            await ask_on()
        assert whose in exc_info.value.detail
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
    answers = [one for one in outcomes if isinstance(one, PromptAnswer)]
    assert 0 < len(answers) < 50
    assert sum(one.cost_usd for one in answers) <= 0.02


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
