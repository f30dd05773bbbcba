"""The item endpoint: one catalog item by id."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.endpoint import Endpoint
from api.http.error import NoItemError, StoreUnavailableError
from api.http.response import json_response
from schemas.types import Item


class ItemEndpoints:
    """The endpoint of items."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        path = "/items/{item_id}"
        return [Endpoint("GET", path, self.show, answers={200: Item}, errors=(NoItemError, StoreUnavailableError))]

    async def show(self, request: Request) -> Response:
        """Return a catalog item."""
        item_id = request.path_params["item_id"]
        [row], _ = await self._context.items.read([item_id])
        if row is None:
            raise NoItemError(item_id)
        return json_response(row)
