"""Sender of push notifications through Firebase Cloud Messaging, HTTP v1.

pyfcm builds the messages and gets the access tokens. It blocks its thread, and by default sleeps there for as long as
the server asks. So each call here is a single attempt; it reports the pause, and the caller decides about retries.
https://firebase.google.com/docs/cloud-messaging/error-codes
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal

import msgspec
import requests
from google.oauth2 import service_account
from pyfcm import FCMNotification
from pyfcm.errors import FCMError
from requests.adapters import HTTPAdapter

from infra.error import OperatorError
from infra.settings import Settings
from schemas.types import Notification

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_QUOTA_PAUSE_S = 60.0
"""Default pause after an attempt over quota, as documented by FCM."""
_TITLE_CHARS, _BODY_CHARS = 120, 400
"""FCM accepts 4 KiB per message, and phones display less text than this."""
_REASON_CHARS = 200
_RETRIED = frozenset({401, 429, 500, 502, 503, 504})
_LOG = logging.getLogger(__name__)

AnswerKind = Literal["delivered", "gone", "refused", "later"]


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """Result of a send to one device; `gone` means that the device does not exist any more."""

    kind: AnswerKind
    reason: str = ""
    pause_s: float = 0.0
    """Minimum pause before the next attempt, in seconds."""


class Fcm:
    """Sender of one Firebase project."""

    def __init__(
        self, credentials: service_account.Credentials, *, base_url: str = "", timeout_s: float, concurrency: int
    ) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="fcm")
        self._adapter = HTTPAdapter(pool_maxsize=concurrency, max_retries=0)
        self._timeout_s = timeout_s
        self._client = _Client(credentials=credentials, adapter=self._adapter)
        if base_url:
            self._client.FCM_END_POINT_BASE = f"{base_url.rstrip('/')}/v1/projects"

    async def send(self, notification: Notification, token: str, *, ttl_s: int) -> SendAnswer:
        """Send a notification to one device in a single attempt; it must not be shown after `ttl_s` seconds."""
        message = _message(notification, ttl_s) | {"fcm_token": token, "timeout": self._timeout_s}
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._notify, message)

    async def close(self) -> None:
        """Wait for the sends in flight, then close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._adapter.close()

    def _notify(self, message: dict[str, Any]) -> SendAnswer:
        try:
            self._client.notify(**message)
            return SendAnswer("delivered")
        except _RefusedError as refusal:
            answer = refusal.answer
        except (FCMError, requests.RequestException) as error:  # no access token, or no response
            answer = SendAnswer("later", f"FCM: {type(error).__name__}: {error}"[:_REASON_CHARS])
        _LOG.warning("FCM did not accept a push: %s", answer.reason)
        return answer


def connect(settings: Settings) -> Fcm | None:
    """Return a sender for the settings, None without a service account.

    Raises:
        OperatorError: the account's key is invalid.
    """
    if not settings.fcm_service_account:
        return None
    return Fcm(
        _credentials(settings.fcm_service_account, settings.fcm_timeout_s),
        base_url=settings.fcm_base_url,
        timeout_s=settings.fcm_timeout_s,
        concurrency=settings.fcm_concurrency,
    )


class _Credentials(service_account.Credentials):  # type: ignore[misc]
    """Google's credentials with our timeout for token requests."""

    timeout_s: float

    def refresh(self, request: Callable[..., Any]) -> None:
        """Request a new access token."""
        super().refresh(partial(request, timeout=self.timeout_s))


class _RefusedError(Exception):
    def __init__(self, answer: SendAnswer) -> None:
        self.answer = answer
        super().__init__(answer.reason)


class _Client(FCMNotification):  # type: ignore[misc]
    """pyfcm with a single attempt per call, plus one with a new access token after a 401."""

    def send_request(self, payload: bytes | None = None, timeout: float | None = None) -> requests.Response:
        """Return FCM's response."""
        response = self._post(payload, timeout)
        if response.status_code == 401:
            self.thread_local.token_expiry = 0
            response = self._post(payload, timeout)
        return response

    def parse_response(self, response: requests.Response) -> None:
        """Raise an error for every response but 200."""
        if response.status_code != 200:
            raise _RefusedError(_refusal(response))

    def _post(self, payload: bytes | None, timeout_s: float | None) -> requests.Response:
        response: requests.Response = self.requests_session.post(self.fcm_end_point, data=payload, timeout=timeout_s)
        return response


def _refusal(response: requests.Response) -> SendAnswer:
    status = response.status_code
    code, message = _error(response)
    reason = f"FCM: {status} {code} {message}".strip()[:_REASON_CHARS]
    if status == 404 and code == "UNREGISTERED":  # a 404 without the code: the project is unknown
        return SendAnswer("gone", reason)
    if status not in _RETRIED:
        return SendAnswer("refused", reason)
    return SendAnswer("later", reason, _pause_s(response) or (_QUOTA_PAUSE_S if status == 429 else 0.0))


def _error(response: requests.Response) -> tuple[str, str]:
    """Return the code and the message of an error, from FCM's own error body if there is one."""
    try:
        error = response.json()["error"]
        codes = [detail["errorCode"] for detail in error.get("details", []) if "errorCode" in detail]
        return str((codes or [error.get("status", "")])[0]), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", response.reason or ""


def _pause_s(response: requests.Response) -> float:
    """Return the pause in seconds from Retry-After, which holds seconds or a date."""
    retry_after = response.headers.get("Retry-After", "")
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _message(notification: Notification, ttl_s: int) -> dict[str, Any]:
    """Return a notification as arguments of pyfcm; its id makes a phone replace an earlier copy."""
    notification_id = notification.notification_id
    data = {"link": notification.link, "item_id": notification.item_id, "category": notification.category}
    return {
        "notification_title": notification.title[:_TITLE_CHARS],
        "notification_body": notification.body[:_BODY_CHARS],
        "data_payload": {"notification_id": notification_id} | {name: value for name, value in data.items() if value},
        "android_config": {
            "collapse_key": notification_id,
            "ttl": f"{ttl_s}s",
            "notification": {"tag": notification_id},
        },
        "apns_config": {
            "headers": {"apns-collapse-id": notification_id, "apns-expiration": str(round(time.time()) + ttl_s)}
        },
        "webpush_config": {"headers": {"Topic": notification_id, "TTL": str(ttl_s)}},
    }


def _credentials(key: str, timeout_s: float) -> _Credentials:
    try:
        info = msgspec.json.decode(key, type=dict[str, Any])
        credentials: _Credentials = _Credentials.from_service_account_info(info, scopes=[SCOPE])
        if not credentials.project_id:
            raise ValueError("it names no project_id")
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        # Error messages of the libraries may quote the key: report the error type only.
        raise OperatorError(
            f"FCM_SERVICE_ACCOUNT cannot be used: not the key of a service account ({type(error).__name__}).",
            "Set it to the JSON from the Firebase console under Project settings, Service accounts, Generate new"
            " private key; or leave it empty: then pushes are decided but not sent.",
        ) from None
    credentials.timeout_s = timeout_s
    return credentials
