"""Answers of every form: what is usable of them is used, and what is not is named in the log."""

import json
from typing import Any

import msgspec
import pytest

from infra.llm import LlmError, PromptAnswer
from streams.core.ranking.llm_judge import Scores
from tests.contract.llm.llm_bench import Bench, Items, a_prompt

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


@pytest.mark.parametrize(
    ("value", "titles", "dropped_count"), [row[1:] for row in INPUTS], ids=[row[0] for row in INPUTS]
)
async def test_what_is_usable_of_an_answer_is_used(
    bench: Bench, value: Any, titles: list[str], dropped_count: int
) -> None:
    bench.claude.messages.append(([bench.claude.use("answer", value)], "tool_use"))
    answer = await bench.ask()
    assert [item.title for item in answer.value.items] == titles
    assert all(item.topics for item in answer.value.items)
    [call] = bench.calls
    assert (call.outcome, call.dropped) == ("answered", dropped_count)
    assert len(call.problems) >= dropped_count
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
    assert [item_score.id for item_score in answer.value.scores] == [0, 1, 2, 3]
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
