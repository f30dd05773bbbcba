"""What only an admin may see and do: what was fetched ahead for a user, and what would be asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.context import Context
from api.error import NoPromptsError
from api.guard import AdminOnly


class AdminEndpoints:
    """The endpoints of the content engine's cache."""

    def __init__(self, context: Context) -> None:
        clients = context.clients
        self._prefetched, self._interactions, self._now_ms = clients.prefetched, clients.interactions, clients.now_ms
        self._guard = [Middleware(AdminOnly, token=context.settings.admin_token)]

    def routes(self) -> Sequence[BaseRoute]:
        """Return their routes."""
        return [
            Route("/prompts/{user_id}", self.prompts, methods=["GET"], middleware=self._guard),
            Route("/admin/cache/view/{user_id}", self.view, methods=["GET"], middleware=self._guard),
            Route("/admin/cache/clear/{user_id}", self.clear, methods=["POST"], middleware=self._guard),
        ]

    async def prompts(self, request: Request) -> Response:
        """Answer with what a language model would be asked for a user, as of the last trigger."""
        user_id = request.path_params["user_id"]
        questions = await self._prefetched.read_questions(user_id)
        if not questions:
            raise NoPromptsError(user_id)
        return _json({"user_id": user_id, "prompts": questions})

    async def view(self, request: Request) -> Response:
        """Answer with what is cached for a user, and with what they did within a day."""
        user_id, now_ms = request.path_params["user_id"], self._now_ms()
        found = await self._prefetched.read(user_id)
        entries = [{**msgspec.to_builtins(one), "left_s": (one.expires_at - now_ms) / 1_000} for one in found]
        events = await self._interactions.read(user_id)
        return _json({"user_id": user_id, "entries": entries, "interaction_log": events})

    async def clear(self, request: Request) -> Response:
        """Forget what is cached for a user: the next trigger has it fetched anew."""
        user_id = request.path_params["user_id"]
        return _json({"user_id": user_id, "cleared": await self._prefetched.clear(user_id)})


def _json(body: Any) -> Response:
    return Response(msgspec.json.encode(body), headers={"Cache-Control": "no-store"}, media_type="application/json")
