"""A question, a double of the language model's API, and a client of it."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import pytest
from redis.asyncio import Redis

from infra.fakes.fake_claude import FakeClaude
from infra.llm import LlmError, Prompt, PromptAnswer
from infra.llm.client import Llm, connect
from infra.settings import Settings
from schemas.types import LlmCall


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
            with pytest.raises(LlmError) as exc_info:
                await llm.ask(prompt or a_prompt())
            assert llm.outcomes[exc_info.value.reason] == 1
            return exc_info.value.reason

    async def spent(self, whose: str) -> int:
        """Return what is counted against a budget, in millionths of a dollar."""
        return sum([int(await self.redis.get(key)) async for key in self.redis.scan_iter(f"llm:spent:*:{whose}")])
