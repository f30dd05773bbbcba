"""An index of routes by the first segment of their paths; Starlette alone tries all routes in turn."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send


class RouteIndex(BaseRoute):
    """Some routes as one. Of several that match, the first one wins, as in a list."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Index routes.

        Args:
            routes: Routes whose first segment is no parameter.
        """
        self._routes: dict[str, list[Route]] = {}
        for route in routes:
            self._routes.setdefault(_first_segment(route.path), []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return how well a request matches, and the matching route in the scope."""
        partial: tuple[Match, Scope] = Match.NONE, {}
        if scope["type"] == "http":
            for route in self._routes.get(_first_segment(scope["path"]), ()):
                match, more = route.matches(scope)
                if match is Match.FULL:
                    return match, {**more, "route": route}
                if match is Match.PARTIAL and partial[0] is Match.NONE:
                    partial = match, {**more, "route": route}
        return partial

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request by the route that matched."""
        await scope["route"].handle(scope, receive, send)


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
