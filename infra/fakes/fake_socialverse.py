"""A fake of the external API that videos are collected from: six paginated lists behind a token.

    api = FakeSocialverse(token="secret")
    api.lists["viewed-posts"] = [{"id": 1, "post_id": 7, "user_id": 3, "viewed_at": "2024-01-15 10:30:45"}]
    async with api.serve() as url:      # API_BASE_URL=url FLIC_TOKEN=secret

Faults can be injected: `faults` apply to the next requests, one each, None for no fault.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.fakes.serve import serve_app
from infra.socialverse import LISTS

Fault = Literal[
    "busy",  # 429 with Retry-After
    "broken",  # 500
    "refused",  # 403
    "garbage",  # 200 with a body that is not JSON
    "cut",  # the connection is closed in the middle of the answer
    "slow",  # an answer after `slow_s`
]


class FakeSocialverse:
    """The fake server, with its faults to inject and its requests to inspect."""

    def __init__(self, *, token: str = "", slow_s: float = 3.0, max_page_size: int = 1_000) -> None:
        """Configure the fake; `max_page_size` is the maximum number of records in a page, regardless of the request."""
        self.token, self.slow_s, self.most, self.retry_after = token, slow_s, max_page_size, "1"
        self.lists: dict[str, list[Any]] = {name: [] for name in LISTS}
        self.faults: deque[Fault | None] = deque()
        self.requests: list[tuple[str, int]] = []
        """Requested lists and pages in order of arrival."""
        self.repeats_last = False
        """Whether requests past the end return the last page again."""

    def serve(self, *, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve the fake and yield its URL."""
        routes = [Route(path, self._list(name, field)) for name, (path, field) in LISTS.items()]
        return serve_app(Starlette(routes=routes), port=port)

    def _list(self, name: str, field: str) -> Any:
        async def listed(request: Request) -> Response:
            page, size = (int(request.query_params.get(key, default)) for key, default in _DEFAULTS)
            self.requests.append((name, page))
            if request.headers.get("flic-token") != self.token:
                return JSONResponse({"status": False, "message": "Token is invalid"}, 401)
            fault = self.faults.popleft() if self.faults else None
            size = min(size, self.most)
            records = self.lists[name]
            last = max(1, -(-len(records) // size))
            if self.repeats_last:
                page = min(page, last)
            body = {
                "status": "success",
                "page": page,
                "page_size": size,
                field: records[(page - 1) * size : page * size],
            }
            return await self._answer(body, fault)

        return listed

    async def _answer(self, body: dict[str, Any], fault: Fault | None) -> Response:
        content = msgspec.json.encode(body)
        if fault == "busy":
            return JSONResponse({"status": False}, 429, {"Retry-After": self.retry_after})
        if fault in ("broken", "refused"):
            return JSONResponse({"status": False}, 500 if fault == "broken" else 403)
        if fault == "garbage":
            return Response("<html>Bad gateway</html>", media_type="text/html")
        if fault == "cut":
            return Response(content[:10], headers={"Content-Length": str(len(content))})
        if fault == "slow":
            await asyncio.sleep(self.slow_s)
        return Response(content, media_type="application/json")


_DEFAULTS = (("page", "1"), ("page_size", "1000"))
