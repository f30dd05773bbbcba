"""Error responses of the API, all of one shape.

{"error": {"code": "...", "message": "...", "field": "...", "request_id": "...", "docs": "/docs/errors#..."}}

ApiError
├── MalformedError       400 malformed_json
├── BadRequestError      400 bad_request
├── BadValueError        400 bad_value          with the field; where a contract demands 400 and not 422
├── UnauthorizedError    401 unauthorized       with WWW-Authenticate
├── NoTokenError         401 flic_token
├── ForbiddenError       403 forbidden
├── NoFeedError          404 no_feed
├── NoPastFeedError      404 no_past_feed
├── NoErasureError       404 no_erasure
├── NoPromptsError       404 no_prompts
├── NoProfileError       404 unknown_user
├── NoItemError          404 unknown_item
├── NotRecommendedError  404 not_recommended
├── NoDevicesError       404 not_registered
├── NoProductError       404 unknown_product
├── NoMatchError         404 no_match
├── NoExperimentError    404 unknown_experiment
├── SlowRequestError     408 request_timeout
├── ExperimentConflictError 409 experiment_conflict
├── ChangedError         412 changed_meanwhile
├── TooLargeError        413 body_too_large
├── UrlTooLongError      414 url_too_long
├── ContentTypeError     415 unsupported_content_type
├── InvalidError         422 invalid_value      with the field
├── UnknownParameterError 422 unknown_parameter with the field
├── InvalidBatchError    422 invalid_batch      with `problems`: index, code, message and field of each entry
├── TooManyRequestsError 429 too_many_requests  with Retry-After
├── StreamsError         429 too_many_streams   with Retry-After
├── HeadersTooLargeError 431 headers_too_large
├── UnavailableError     503 with Retry-After
│   ├── BrokerUnavailableError broker_away
│   ├── StoreUnavailableError  store_away
│   ├── KeysUnavailableError   keys_away
│   ├── TooManyListenersError  too_many_listeners
│   ├── ConnectionsError       too_many_connections
│   ├── ErasureKeyError        no_erasure_key
│   ├── TooManyExportsError    too_many_exports
│   └── BusyError              too_many_waiting
├── RerankTimeoutError   504 not_in_time
├── RefusedError
│   ├── NotFoundError          404 not_found
│   └── MethodError            405 method_not_allowed
└── InternalError        500 internal_error, logged with its request id
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
from starlette.exceptions import HTTPException

from schemas.allowed_values import allowed_values

RETRY_AFTER_S = 5
_PLACE = re.compile(r"(?P<problem>.*?)(?: - at `(?:key in )?\$\.?(?P<field>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")


class ApiError(Exception):
    """An error response."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        self.message, self.field = message, field
        super().__init__(message)

    def details(self) -> dict[str, Any]:
        """Return the fields of the error's body other than code and message."""
        return {} if self.field is None else {"field": self.field}

    def headers(self) -> dict[str, str]:
        """Return the headers of the response."""
        return {}


class MalformedError(ApiError):
    """The body is not JSON."""

    status, code = 400, "malformed_json"


class BadRequestError(ApiError):
    """The request is not valid HTTP, or the client pipelined too many requests."""

    status, code = 400, "bad_request"

    def __init__(self) -> None:
        super().__init__("the request is not valid HTTP, or too many requests were pipelined")


class UnauthorizedError(ApiError):
    """The request needs a token, or its token is invalid."""

    status, code = 401, "unauthorized"

    def headers(self) -> dict[str, str]:
        """Return WWW-Authenticate."""
        return {"WWW-Authenticate": "Bearer"}


class NoTokenError(ApiError):
    """The token of the external API is missing or wrong."""

    status, code = 401, "flic_token"

    def __init__(self) -> None:
        super().__init__("send the token of the external API in the header Flic-Token")


class BadValueError(ApiError):
    """A value is invalid or missing, in an endpoint whose contract demands 400."""

    status, code = 400, "bad_value"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}", field=field)


class ForbiddenError(ApiError):
    """The caller may not do this."""

    status, code = 403, "forbidden"


class NoFeedError(ApiError):
    """The user has no feed, and there is no non-personalized feed."""

    status, code = 404, "no_feed"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"there is no feed for {user_id!r} yet, and no non-personalized feed: is a worker running?")


class NoPastFeedError(ApiError):
    """The user had no feed of their own at that time, or the archive no longer keeps it."""

    status, code = 404, "no_past_feed"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"the archive has no feed of {user_id!r} from before that time")


class NoErasureError(ApiError):
    """The erasure of the user was not requested within the last 30 days."""

    status, code = 404, "no_erasure"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"the erasure of {user_id!r} was not requested within the last 30 days")


class NoPromptsError(ApiError):
    """No prompts are known for the user."""

    status, code = 404, "no_prompts"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"no trigger has requested content for {user_id!r} within the last day")


class NoProfileError(ApiError):
    """The user is unknown."""

    status, code = 404, "unknown_user"

    def __init__(self, user_id: str) -> None:
        super().__init__(
            f"the user {user_id!r} is unknown: there is no event and no profile, or it has only just arrived"
        )


class NoItemError(ApiError):
    """The item is not in the catalog."""

    status, code = 404, "unknown_item"

    def __init__(self, item_id: str) -> None:
        super().__init__(f"the item {item_id!r} is not in the catalog")


class NotRecommendedError(ApiError):
    """The item is not in the user's feed."""

    status, code = 404, "not_recommended"

    def __init__(self, user_id: str, item_id: str) -> None:
        super().__init__(f"{item_id!r} is not, or no longer, in the feed of {user_id!r}")


class NoDevicesError(ApiError):
    """The user has neither push devices nor push preferences."""

    status, code = 404, "not_registered"

    def __init__(self, user_id: str) -> None:
        super().__init__(
            f"{user_id!r} has no registered device and no stated preferences, or they have only just arrived"
        )


class NoProductError(ApiError):
    """The shop has no such product."""

    status, code = 404, "unknown_product"

    def __init__(self, product_id: str) -> None:
        super().__init__(f"there is no product {product_id}")


class NoMatchError(ApiError):
    """Nothing matches, and there are no trending products to show instead."""

    status, code = 404, "no_match"

    def __init__(self) -> None:
        super().__init__("nothing matches, and there are no trending products yet to show instead")


class SlowRequestError(ApiError):
    """The request did not arrive completely in time."""

    status, code = 408, "request_timeout"

    def __init__(self) -> None:
        super().__init__("the request did not arrive completely in time")


class ChangedError(ApiError):
    """The resource does not match If-Match: it has been changed since it was read."""

    status, code = 412, "changed_meanwhile"

    def __init__(self) -> None:
        super().__init__(
            "the resource has been changed since it was read: read it again and repeat the change if it is still needed"
        )


class TooLargeError(ApiError):
    """The body is too large."""

    status, code = 413, "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes} bytes")

    def headers(self) -> dict[str, str]:
        """Close the connection, so that the rest of the body need not be read."""
        return {"Connection": "close"}


class UrlTooLongError(ApiError):
    """The URL is too long."""

    status, code = 414, "url_too_long"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the URL is longer than {limit_bytes} bytes")


class ContentTypeError(ApiError):
    """The body is not declared as plain JSON."""

    status, code = 415, "unsupported_content_type"

    def __init__(self) -> None:
        super().__init__("send Content-Type: application/json, encoded in UTF-8 and not compressed")


class InvalidError(ApiError):
    """A value is invalid."""

    status, code = 422, "invalid_value"

    def __init__(self, field: str | None, problem: str) -> None:
        self.problem = problem
        super().__init__(problem if field is None else f"{field} {problem}", field=field)


def invalid(error: msgspec.ValidationError, kind: Any) -> InvalidError:
    """Return the error of a value of the wrong type, with its field, and with the allowed values if they are few.

    Args:
        error: The error.
        kind: The type that was decoded.
    """
    match = _PLACE.fullmatch(str(error))
    assert match is not None  # the pattern matches every text
    missing = _MISSING.fullmatch(match["problem"])
    if missing:
        return InvalidError(".".join(filter(None, (match["field"], missing["name"]))), "is missing")
    values = allowed_values(kind, match["field"] or "") if match["problem"].startswith("Invalid enum value") else ()
    hint = f"; use one of {', '.join(values)}" if values else ""
    return InvalidError(match["field"], f"cannot be used: {match['problem']}{hint}")


class InvalidBatchError(ApiError):
    """No entry of the batch is valid; none was published."""

    status, code = 422, "invalid_batch"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._problems = problems
        super().__init__(f"none of the {len(problems)} entries is valid")

    def details(self) -> dict[str, Any]:
        """Return the problem of each entry."""
        return {"problems": msgspec.to_builtins(self._problems)}


class TooManyRequestsError(ApiError):
    """The user or the address has exceeded its rate limit."""

    status, code = 429, "too_many_requests"

    def __init__(self, kind: str, limit: str, wait_s: float) -> None:
        self._wait_s = wait_s
        super().__init__(f"rate limit exceeded: {limit} per {kind}")

    def headers(self) -> dict[str, str]:
        """Return Retry-After."""
        return {"Retry-After": str(max(1, ceil(self._wait_s)))}


class StreamsError(ApiError):
    """The user has too many open streams."""

    status, code = 429, "too_many_streams"

    def __init__(self, limit: int) -> None:
        super().__init__(f"this user already has {limit} open streams")

    def headers(self) -> dict[str, str]:
        """Return Retry-After."""
        return {"Retry-After": str(RETRY_AFTER_S)}


class HeadersTooLargeError(ApiError):
    """The headers are too large or too many."""

    status, code = 431, "headers_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the headers are larger than {limit_bytes} bytes, or there are too many")


class UnavailableError(ApiError):
    """A dependency is unavailable at the moment."""

    status = 503

    def headers(self) -> dict[str, str]:
        """Return Retry-After."""
        return {"Retry-After": str(RETRY_AFTER_S)}


class BrokerUnavailableError(UnavailableError):
    """The broker did not acknowledge in time."""

    code = "broker_away"

    def __init__(self) -> None:
        super().__init__("the broker did not acknowledge in time; retry with the same event_id")


class StoreUnavailableError(UnavailableError):
    """The feed store did not answer."""

    code = "store_away"

    def __init__(self) -> None:
        super().__init__("the feed store does not answer")


class KeysUnavailableError(UnavailableError):
    """The issuer's keys, which verify tokens, are unavailable."""

    code = "keys_away"

    def __init__(self) -> None:
        super().__init__("the token issuer's keys are unavailable")


class TooManyListenersError(UnavailableError):
    """The limit of open streams is reached."""

    code = "too_many_listeners"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} streams are open already; poll GET /content instead")


class ConnectionsError(UnavailableError):
    """The limit of open connections is reached."""

    code = "too_many_connections"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} connections are open already")


class ErasureKeyError(UnavailableError):
    """Nobody can be erased: there is no key for the hashes of erased users."""

    code = "no_erasure_key"

    def __init__(self) -> None:
        super().__init__("nobody can be erased before the operator sets ERASURE_KEY")


class TooManyExportsError(UnavailableError):
    """The limit of exports at a time is reached."""

    code = "too_many_exports"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} exports are running already")


class BusyError(UnavailableError):
    """The limit of requests that wait for a worker is reached."""

    code = "too_many_waiting"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests are already waiting for a worker")


class RerankTimeoutError(ApiError):
    """No worker answered in time."""

    status, code = 504, "not_in_time"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            f"no worker answered within {timeout_s:g} s; a retry with the same event_id may find the result"
        )


class RefusedError(ApiError):
    """An error raised by the router."""

    def __init__(self, cause: HTTPException) -> None:
        super().__init__(cause.detail)
        self.status = cause.status_code
        self.code = HTTPStatus(cause.status_code).name.lower()
        self._headers = dict(cause.headers or {})

    def headers(self) -> dict[str, str]:
        """Return the router's headers, such as Allow."""
        return self._headers


class NotFoundError(RefusedError):
    """There is nothing at this path."""

    status, code = 404, "not_found"


class MethodError(RefusedError):
    """The path does not support this method (see Allow)."""

    status, code = 405, "method_not_allowed"


class InternalError(ApiError):
    """An internal error; the details are only in the log."""

    status, code = 500, "internal_error"

    def __init__(self) -> None:
        super().__init__("internal error; the log has the details under this request_id")


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The problem of one batch entry, which `index` identifies (0 is the first)."""

    index: int
    code: str
    message: str
    field: str | None = None
