"""Who asks, for as long as their request is served: known everywhere without being handed on."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

import msgspec

from api.http.error import ForbiddenError

ADMIN, SERVICE = "admin", "service"
NAMES = ("user_id", "username")
"""What clients call a user."""


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Someone whose token was verified."""

    subject: str
    scopes: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """Say whether they may do everything."""
        return ADMIN in self.scopes

    @property
    def is_trusted(self) -> bool:
        """Say whether they may speak for any user."""
        return bool(self.scopes & {ADMIN, SERVICE})


@dataclass(slots=True)
class RequestContext:
    """What is known of the request that is being served."""

    request_id: str
    caller: Principal | None = None
    """None where nobody has to say who they are."""
    user_id: str = ""
    """Whose feed was asked for, if any was."""

    @property
    def actor(self) -> str:
        """Return who asks, by name."""
        return "anonymous" if self.caller is None else self.caller.subject


CURRENT: ContextVar[RequestContext | None] = ContextVar("CURRENT", default=None)


def authorize_user(user_id: object) -> None:
    """Hold who asks to speaking for themselves.

    Raises:
        ForbiddenError: they spoke for another user.
    """
    trace = CURRENT.get()
    if trace is None or trace.caller is None or trace.caller.is_trusted:
        return
    if user_id != trace.caller.subject:
        raise ForbiddenError("a token speaks for its own user only, unless it has the scope service or admin")


def authorize_body(body: object) -> None:
    """Hold who asks to speaking for themselves in a body, or in parameters.

    Raises:
        ForbiddenError: these name another user.
    """
    for name in NAMES:
        user_id = getattr(body, name, None)
        if user_id is not None:
            authorize_user(user_id)
    for user_id in getattr(body, "user_ids", ()):
        authorize_user(user_id)
