"""The page at /: someone picks a person, sees their feed with scores and reasons, acts, and watches it change.

Plain files served from memory: no build step, nothing from other hosts, no inline script.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

USERS_KEY = "demo:users"
"""Redis key of the people whom the page offers: the JSON of a list of `DemoUser`."""

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PARTS = ("page.css", "main.js", "feed.js", "card.js", "client.js", "art.js", "picker.js", "icon.svg")
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class DemoUser(msgspec.Struct, frozen=True):
    """Someone whom the page offers."""

    user_id: str
    label: str = ""


def routes(read_users: Callable[[], Awaitable[bytes | None]]) -> list[BaseRoute]:
    """Return the page's routes; `read_users` fetches what is stored under `USERS_KEY`."""

    async def users(_: Request) -> Response:
        return Response(
            await read_users() or b"[]", media_type="application/json", headers={"Cache-Control": "no-store"}
        )

    page = Route("/", _file("page.html"), name="portal")
    parts = [Route(f"/portal/{name}", _file(name)) for name in _PARTS]
    return [page, *parts, Route("/demo/users", users)]


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    body = files(__package__).joinpath(name).read_bytes()
    media_type = _TYPES[name.rpartition(".")[2]]

    async def serve(_: Request) -> Response:
        return Response(body, media_type=media_type, headers=_HEADERS)

    return serve
