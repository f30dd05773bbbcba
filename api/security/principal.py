"""The authenticated caller and the request context, available in a context variable while a request is served."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

import msgspec

from api.http.error import ForbiddenError

ADMIN, SERVICE = "admin", "service"
NAMES = ("user_id", "username")
"""Names of the user id in bodies and parameters."""


class Principal(msgspec.Struct, frozen=True, gc=False):
    """A caller whose token was verified."""

    subject: str
    scopes: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """Return whether the caller is an admin."""
        return ADMIN in self.scopes

    @property
    def is_trusted(self) -> bool:
        """Return whether the caller may act for any user."""
        return bool(self.scopes & {ADMIN, SERVICE})


@dataclass(slots=True)
class RequestContext:
    """The context of the current request."""

    request_id: str
    principal: Principal | None = None
    """The caller; None without a token."""
    user_id: str = ""
    """The user whose feed was requested; empty if none was."""

    @property
    def actor(self) -> str:
        """Return the caller's name for the audit log."""
        return "anonymous" if self.principal is None else self.principal.subject


REQUEST_CONTEXT: ContextVar[RequestContext | None] = ContextVar("REQUEST_CONTEXT", default=None)


def authorize_user(user_id: object) -> None:
    """Check that the caller may act for a user.

    Raises:
        ForbiddenError: it is another user than the token's.
    """
    context = REQUEST_CONTEXT.get()
    if context is None or context.principal is None or context.principal.is_trusted:
        return
    if user_id != context.principal.subject:
        raise ForbiddenError("a token is valid for its own user only, unless it has the scope service or admin")


def authorize_body(body: object) -> None:
    """Check that the caller may act for the users that a body, or a struct of parameters, names.

    Raises:
        ForbiddenError: it names another user than the token's.
    """
    for name in NAMES:
        user_id = getattr(body, name, None)
        if user_id is not None:
            authorize_user(user_id)
    for user_id in getattr(body, "user_ids", ()):
        authorize_user(user_id)
