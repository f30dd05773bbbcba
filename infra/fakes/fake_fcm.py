"""A fake of Firebase Cloud Messaging, HTTP v1, with the exchange of a service account key for access tokens.

    fcm = FakeFcm()
    async with fcm.serve() as url:      # FCM_BASE_URL=url FCM_SERVICE_ACCOUNT=fcm.service_account(url)

It verifies the signed assertion with the account's public key and validates messages against the protocol. Faults can
be injected: `faults` apply to the next messages, one each; `permanent_fault` applies to all others; the devices of
`unregistered_tokens` do not exist any more.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.fakes import NAME
from infra.fakes.serve import serve_app

PROJECT = NAME
_EMAIL = f"pushes@{PROJECT}.iam.gserviceaccount.com"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PEM = serialization.Encoding.PEM
_MAX_BYTES = 4_096

Fault = Literal[
    "unauthorized",  # 401: the access token is invalid
    "forbidden",  # 403: the token belongs to another project
    "unregistered",  # 404: the device does not exist any more
    "not_found",  # 404: the project does not exist
    "invalid",  # 400: the token is malformed
    "quota",  # 429 with Retry-After
    "unavailable",  # 503 with Retry-After
    "internal",  # 500
    "slow",  # an answer after `slow_s`
    "garbage",  # 502 with a body that is not JSON
    "lost",  # delivered, but the answer never arrives
]
_ERRORS: dict[str, tuple[int, str, str]] = {
    "unauthorized": (401, "UNAUTHENTICATED", ""),
    "forbidden": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "unregistered": (404, "NOT_FOUND", "UNREGISTERED"),
    "not_found": (404, "NOT_FOUND", ""),
    "invalid": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    "quota": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "unavailable": (503, "UNAVAILABLE", "UNAVAILABLE"),
    "internal": (500, "INTERNAL", "INTERNAL"),
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """An accepted message."""

    token: str
    message: dict[str, Any]

    @property
    def notification_id(self) -> str:
        """Return the id by which clients recognize a duplicate."""
        return str(self.message["data"]["notification_id"])


class FakeFcm:
    """The fake server, with its faults to inject and its deliveries to inspect."""

    def __init__(self, *, slow_s: float = 3.0) -> None:
        self.slow_s, self.retry_after = slow_s, "1"
        self.faults: deque[Fault | None] = deque()
        self.permanent_fault: Fault | None = None
        self.unregistered_tokens: set[str] = set()
        self.refuses_grants = False
        self.deliveries: list[Delivered] = []
        """Accepted messages in order of arrival."""
        self.attempts = 0
        """Number of received messages, accepted or not."""
        self.access_tokens: list[str] = []
        """Access tokens that were issued."""
        self._valid: set[str] = set()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._public = self._key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def serve(self, *, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve the fake and yield its URL."""
        routes = [
            Route("/token", self._grant, methods=["POST"]),
            Route("/v1/projects/{project}/messages:send", self._send, methods=["POST"]),
        ]
        return serve_app(Starlette(routes=routes), port=port)

    def service_account(self, url: str) -> str:
        """Return the key of the authorized service account as the Firebase console exports it."""
        private = self._key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": private.decode(),
            "client_email": _EMAIL,
            "token_uri": f"{url}/token",
        }
        return msgspec.json.encode(account).decode()

    def revoke(self) -> None:
        """Invalidate all access tokens that were issued so far."""
        self._valid.clear()

    async def _grant(self, request: Request) -> Response:
        """Issue an access token for an assertion that is signed with the account's key (RFC 7523)."""
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            claims = jwt.decode(form.get("assertion", ""), certs=self._public, audience=_AUDIENCE)
        except ValueError as error:
            return _grant_refused(str(error))
        if form.get("grant_type") != _GRANT or claims.get("iss") != _EMAIL or _SCOPE not in claims.get("scope", ""):
            return _grant_refused("the grant, the account or the scope is another")
        if self.refuses_grants:
            return _grant_refused("Invalid JWT Signature.")
        token = secrets.token_urlsafe()
        self.access_tokens.append(token)
        self._valid.add(token)
        return JSONResponse({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    async def _send(self, request: Request) -> Response:
        self.attempts += 1
        data = await request.body()
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._valid:
            return self._refused("unauthorized", "Request had invalid authentication credentials.")
        if request.path_params["project"] != PROJECT:
            return self._refused("not_found", "Not found.")
        fault = self.faults.popleft() if self.faults else self.permanent_fault
        message, problem = _read(data)
        if problem:
            return self._refused("invalid", problem)
        if fault == "slow":
            await asyncio.sleep(self.slow_s)
        elif fault is not None and fault != "lost":
            return self._refused(fault, f"This is a simulated fault: {fault}.")
        if message["token"] in self.unregistered_tokens:
            return self._refused("unregistered", "Requested entity was not found.")
        self.deliveries.append(Delivered(message["token"], message))
        while fault == "lost" and (await request.receive())["type"] != "http.disconnect":
            pass
        return JSONResponse({"name": f"projects/{PROJECT}/messages/{len(self.deliveries)}"})

    def _refused(self, fault: str, message: str) -> Response:
        if fault == "garbage":
            return Response("<html>Bad gateway</html>", 502, media_type="text/html")
        status, name, code = _ERRORS[fault]
        error: dict[str, Any] = {"code": status, "message": message, "status": name}
        if code:
            error["details"] = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]
        headers = {"Retry-After": self.retry_after} if status in {429, 503} and self.retry_after else {}
        return JSONResponse({"error": error}, status, headers)


def _read(data: bytes) -> tuple[dict[str, Any], str]:
    """Return a message and its problem, which is empty for a valid message."""
    try:
        message = msgspec.json.decode(data, type=dict[str, Any])["message"]
    except (msgspec.DecodeError, KeyError):
        return {}, "Invalid JSON payload received."
    payload = message.get("data", {})
    if not message.get("token"):
        return {}, "Recipient of the message is not set."
    if any(not isinstance(value, str) for value in payload.values()):
        return {}, "Invalid value at 'message.data[0].value' (TYPE_STRING)"
    if any(key == "from" or key.startswith(("google", "gcm")) for key in payload):
        return {}, "Invalid data payload key"
    if len(data) > _MAX_BYTES:
        return {}, "Message too big"
    return message, ""


def _grant_refused(why: str) -> Response:
    return JSONResponse({"error": "invalid_grant", "error_description": why}, 400)
