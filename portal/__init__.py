"""The demo portal at /: pick a user, see their feed with scores and reasons, interact, and watch the feed change.

Static files served from memory: no build step, no inline scripts, nothing from other hosts except item images.
Every view has its own URL; all URLs return the same page, which opens the view.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from domain.mood import MOODS

USERS_KEY = "demo:users"
"""Redis key of the users offered by the page: a JSON list of `DemoUser`."""

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_VIEWS = ("/", "/c/{category:path}", "/item/{item_id:path}", "/find", "/you", "/operations")
_ASSETS = (
    "page.css",
    "icon.svg",
    *("main.js", "router.js", "home.js", "feed.js", "card.js", "sheet.js", "filter.js", "find.js", "you.js", "form.js"),
    "impressions.js",
    *("operations.js", "experiments.js", "lifts.js", "shadows.js", "chart.js", "metrics.js", "format.js"),
    *("session.js", "notices.js", "toast.js", "client.js", "stream.js", "art.js", "picker.js"),
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class DemoUser(msgspec.Struct, frozen=True):
    """A user offered by the page."""

    user_id: str
    label: str = ""


def routes(read_users: Callable[[], Awaitable[bytes | None]], fakes: Sequence[str] = ()) -> list[BaseRoute]:
    """Return the page's routes.

    Args:
        read_users: Reads the value of `USERS_KEY`.
        fakes: Names of the services replaced by fakes; the page displays them.
    """

    async def users(_: Request) -> Response:
        return Response(
            await read_users() or b"[]", media_type="application/json", headers={"Cache-Control": "no-store"}
        )

    async def moods(_: Request) -> Response:
        return Response(msgspec.json.encode(MOODS), media_type="application/json", headers=_HEADERS)

    async def fake_services(_: Request) -> Response:
        return Response(
            msgspec.json.encode(fakes), media_type="application/json", headers={"Cache-Control": "no-store"}
        )

    page = _file("page.html")
    views = [Route(path, page) for path in _VIEWS]
    assets = [Route(f"/portal/{name}", _file(name)) for name in _ASSETS]
    data = {"/portal/moods": moods, "/demo/users": users, "/demo/simulated": fake_services}
    return [*views, *assets, *(Route(path, answer) for path, answer in data.items())]


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    body = files(__package__).joinpath(name).read_bytes()
    media_type = _TYPES[name.rpartition(".")[2]]

    async def serve(_: Request) -> Response:
        return Response(body, media_type=media_type, headers=_HEADERS)

    return serve
