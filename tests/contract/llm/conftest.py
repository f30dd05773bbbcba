"""A bench for each test, with a Redis database of its own."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from infra.fakes.fake_claude import KEY, FakeClaude
from infra.settings import Settings
from tests.contract.llm.llm_bench import Bench


@pytest.fixture
async def bench(redis: Redis) -> AsyncIterator[Bench]:
    claude = FakeClaude(cache_from_tokens=1)
    async with claude.serve() as url:
        settings = replace(Settings(), anthropic_api_key=KEY, llm_base_url=url, llm_max_retries=0, llm_timeout_s=5.0)
        yield Bench(claude, settings, redis)
