"""API documentation: OpenAPI with Swagger UI and ReDoc, AsyncAPI of the topics, and the list of errors.

Everything is served locally: the viewers' files come from the package `offapi`; pages load nothing from other hosts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.http.endpoint import Endpoint
from api.openapi.asyncapi import asyncapi
from api.openapi.openapi import openapi
from api.openapi.page import errors_page, topics_page
from infra.settings import Settings
from topics import TOPICS

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI and ReDoc need inline styles, and ReDoc runs its search in a blob worker."""
_VIEWERS = {
    "swagger.js": ("swagger_bundle.js", "text/javascript"),
    "swagger.css": ("swagger_style.css", "text/css"),
    "redoc.js": ("redoc.js", "text/javascript"),
}
_REDOC_LOGO_HOST = b"https://cdn.redoc.ly/redoc/"
"""The host from which ReDoc would load its vendor's logo."""
_OWN = {"start.js": "text/javascript", "page.css": "text/css"}


def routes(endpoints: Sequence[Endpoint], settings: Settings) -> list[BaseRoute]:
    """Return the routes of the documents; each document is built on its first request."""
    millrace_version = version("millrace")
    pages: dict[str, tuple[Callable[[], bytes], str]] = {
        "/openapi.json": (
            lambda: _json(openapi(endpoints, version=millrace_version, is_strict=settings.is_secured)),
            _JSON,
        ),
        "/asyncapi.json": (lambda: _json(_topics(settings)), _JSON),
        "/docs": (lambda: _own("swagger.html"), "text/html"),
        "/redoc": (lambda: _own("redoc.html"), "text/html"),
        "/docs/topics": (lambda: topics_page(_topics(settings)).encode(), "text/html"),
        "/docs/errors": (lambda: errors_page().encode(), "text/html"),
        **{f"/docs/{name}": (_reader(_own, name), kind) for name, kind in _OWN.items()},
        **{f"/docs/{name}": (_reader(_viewer, file), kind) for name, (file, kind) in _VIEWERS.items()},
    }
    return [Route(path, _page(cache(build), kind), methods=["GET"]) for path, (build, kind) in pages.items()]


_JSON = "application/json"


def _topics(settings: Settings) -> dict[str, object]:
    return asyncapi(TOPICS, version=version("millrace"), brokers=settings.kafka_bootstrap_servers)


def _page(build: Callable[[], bytes], media_type: str) -> Callable[[Request], Awaitable[Response]]:
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}

    async def serve(_: Request) -> Response:
        return Response(build(), headers=headers, media_type=media_type)

    return serve


def _reader(read: Callable[[str], bytes], name: str) -> Callable[[], bytes]:
    return lambda: read(name)


def _own(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()


def _viewer(name: str) -> bytes:
    """Return a file of the package `offapi`, without importing the package, which would read all its files."""
    spec = find_spec("offapi")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name(name).read_bytes().replace(_REDOC_LOGO_HOST, b"data:,")


def _json(document: object) -> bytes:
    return msgspec.json.encode(document)
