"""Endpoints of a person's own data: erasure with a receipt, and export."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.body import new_id
from api.http.endpoint import Endpoint
from api.http.error import (
    BrokerUnavailableError,
    ErasureKeyError,
    NoErasureError,
    StoreUnavailableError,
    TooManyExportsError,
    TooManyRequestsError,
)
from api.http.query import validate_user_id
from api.http.response import json_response
from api.security.rate_limit import RateLimiter
from infra.erasure.erasure_index import ErasureKey, erasure_key
from infra.erasure.erasure_log import request_erasure
from infra.erasure.erasure_store import StoredErasure
from infra.erasure.erasure_tracker import ErasureProgress
from infra.kafka.publisher import PublishError
from infra.settings import OFF
from infra.user_export import UserExport
from schemas.types import ErasureRequest

_EXPORTS = 2
"""Exports at a time, per process: each reads partitions of topics to their ends."""


class AcceptedErasure(msgspec.Struct, frozen=True):
    """The erasure is in force: no older event of the user is taken into account; the roles erase what they hold."""

    request_id: str
    user_hash: str


class ErasureEndpoints:
    """Endpoints of erasures and exports. Outside development each user's are limited, by the hash of the id."""

    def __init__(self, context: ApiContext) -> None:
        self._context, self._clients = context, context.clients
        settings, storage = context.settings, context.clients.rate_limit_storage
        self._key = erasure_key(settings)
        self._limit_key = self._key or ErasureKey(b"")
        limit = settings.rate_limit_erasure if settings.is_secured else OFF
        self._limiter = RateLimiter("erasure and export", limit, storage)
        self._exports = asyncio.Semaphore(_EXPORTS)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "DELETE",
                "/user/{user_id}",
                self.erase,
                answers={202: AcceptedErasure},
                errors=(BrokerUnavailableError, StoreUnavailableError, ErasureKeyError, TooManyRequestsError),
            ),
            Endpoint(
                "GET",
                "/user/{user_id}/erasure",
                self.progress,
                answers={200: ErasureProgress},
                errors=(StoreUnavailableError, NoErasureError, ErasureKeyError),
            ),
            Endpoint(
                "GET",
                "/user/{user_id}/export",
                self.export,
                answers={200: UserExport},
                errors=(StoreUnavailableError, TooManyExportsError, TooManyRequestsError),
            ),
        ]

    async def erase(self, request: Request) -> Response:
        """Erase a user: everything that is known of a person, in all stores.

        The erasure is in force at once. `GET /user/{user_id}/erasure` reports its progress, and returns the receipt.
        """
        key, user_id = self._required_key(), validate_user_id(request.path_params["user_id"])
        now_ms = self._clients.now_ms()
        unchecked_request = ErasureRequest(event_id=new_id(), user_id=user_id, occurred_at=now_ms)
        erasure_request = self._context.validated(unchecked_request)
        user_hash = key.hash_of(erasure_request.user_id.encode())
        await self._limiter.acquire(user_hash)
        try:
            async with asyncio.timeout(self._context.settings.api_publish_timeout_s):
                partition, offset = await request_erasure(self._clients.publisher, key, erasure_request)
        except (PublishError, TimeoutError) as error:
            raise BrokerUnavailableError from error
        await self._clients.erasures.write(
            StoredErasure(
                user_hash=user_hash,
                request_id=erasure_request.event_id,
                requested_at=now_ms,
                partition=partition,
                offset=offset,
            )
        )
        return json_response(AcceptedErasure(erasure_request.event_id, user_hash), 202)

    async def progress(self, request: Request) -> Response:
        """Return the progress of a user's last erasure, with the signed receipt once it is complete."""
        self._required_key()
        user_id = validate_user_id(request.path_params["user_id"])
        progress = await self._clients.erasure_tracker.progress(user_id)
        if progress is None:
            raise NoErasureError(user_id)
        return json_response(progress)

    async def export(self, request: Request) -> Response:
        """Return everything that is known of a user."""
        user_id = validate_user_id(request.path_params["user_id"])
        await self._limiter.acquire(self._limit_key.hash_of(user_id.encode()))
        if self._exports.locked():
            raise TooManyExportsError(_EXPORTS)
        async with self._exports:
            return json_response(await self._clients.user_exporter.export(user_id))

    def _required_key(self) -> ErasureKey:
        """Return the key of the hashes.

        Raises:
            ErasureKeyError: there is none.
        """
        if self._key is None:
            raise ErasureKeyError
        return self._key
