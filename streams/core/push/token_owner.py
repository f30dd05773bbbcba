"""Owner of a push token: the user of its newest registration.

A device keeps its token when another user signs in on it. Users are in different partitions, so each registration is
forwarded to the partition of its token, and a user who no longer owns the token gets a revocation. The result does not
depend on the order of arrival, and repeats change nothing.
"""

from __future__ import annotations

import msgspec

from schemas.types import PushRequest, PushToken
from streams.core.dedup import deterministic_id

OWNER = "owner"
"""Header of a null value on the topic of tokens: the user who has released the token."""


class TokenState(msgspec.Struct, array_like=True):
    """The state of one token. New fields are added at the end, with a default."""

    token: str
    owner: PushToken | None = None
    """The newest registration."""


def fold_registration(state: TokenState, registration: PushToken) -> PushRequest | None:
    """Fold a registration; return the revocation of the superseded one if its user differs."""
    older, newer = sorted([state.owner or registration, registration], key=_rank)
    state.owner = newer
    if older.user_id == newer.user_id:
        return None
    return PushRequest(
        event_id=deterministic_id("revoke", older.token, older.user_id, str(older.appended_at)),
        user_id=older.user_id,
        kind="revoke",
        token=older.token,
        occurred_at=newer.registered_at,
        appended_at=older.appended_at,
    )


def _rank(registration: PushToken) -> tuple[int, int, str]:
    return registration.registered_at, registration.appended_at, registration.user_id
