"""Fakes of paid services, started on this machine for services without a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from infra.fakes.fake_claude import KEY, FakeClaude
from infra.fakes.fake_fcm import FakeFcm
from infra.llm.key import has_key
from infra.settings import Settings

_NO_LIMIT_USD = 1e6
_NO_LIMIT_PUSHES = 1_000


@asynccontextmanager
async def with_fakes(settings: Settings) -> AsyncIterator[Settings]:
    """Start fakes of the services without a key; yield settings that point to them.

    The fakes cost nothing, and send nothing to anyone.
    """
    async with AsyncExitStack() as exits:
        if not has_key(settings):
            url = await exits.enter_async_context(FakeClaude().serve())
            settings = replace(
                settings,
                llm_provider="anthropic",
                llm_base_url=url,
                anthropic_api_key=KEY,
                llm_budget_usd=_NO_LIMIT_USD,
                llm_budget_category_usd=_NO_LIMIT_USD,
                llm_budget_user_usd=_NO_LIMIT_USD,
            )
        if not settings.fcm_service_account:
            fcm = FakeFcm()
            url = await exits.enter_async_context(fcm.serve())
            settings = replace(
                settings,
                fcm_base_url=url,
                fcm_service_account=fcm.service_account(url),
                push_daily_cap=_NO_LIMIT_PUSHES,
            )
        yield settings
