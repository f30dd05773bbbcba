"""Endpoint of the privacy budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.endpoint import Endpoint
from api.http.error import BrokerUnavailableError
from api.http.response import json_response
from infra.privacy.privacy_budget import BudgetReport, report


class PrivacyBudgetEndpoints:
    """Endpoints of the privacy budget."""

    def __init__(self, context: ApiContext) -> None:
        self._context, self._clients = context, context.clients

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/privacy/budget",
                self.show,
                scope="admin",
                answers={200: BudgetReport},
                errors=(BrokerUnavailableError,),
            )
        ]

    async def show(self, request: Request) -> Response:
        """Return the privacy budget of today, with the releases that spent from it."""
        try:
            async with asyncio.timeout(self._context.settings.api_publish_timeout_s):
                budget = await self._clients.privacy_budget.read(self._clients.now_ms())
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailableError from error
        return json_response(report(budget))
