"""Numbers of users by group, from a relation, with a bound on the groups that each user counts in."""

from __future__ import annotations

import secrets
from collections import Counter
from hashlib import blake2b

import pyarrow as pa

from infra.analytics.relation import Relation
from infra.error import OperatorError

USER_COLUMN = "user_id"
_SALT_BYTES = 16


async def user_counts(relation: Relation, column: str, *, groups_per_user: int) -> dict[str, int]:
    """Return the number of users by the value of a column; rows without a value do not count.

    Of a user with more values a random choice counts, the same whatever the order of the rows.

    Args:
        relation: The relation; it is read to its end.
        column: The column.
        groups_per_user: Number of values that a user counts for, at most.

    Raises:
        OperatorError: the relation names no users, or lacks the column.
    """
    names = relation.schema.names
    if USER_COLUMN not in names:
        raise OperatorError(f"Rows of {relation.name} belong to no user.", "Name a topic or table with user_id.")
    if column not in names or pa.types.is_nested(relation.schema.field(column).type):
        raise OperatorError(f"{relation.name} cannot be grouped by {column}.", f"Its columns are {', '.join(names)}.")
    salt = secrets.token_bytes(_SALT_BYTES)
    groups_by_user: dict[str, dict[str, bytes]] = {}
    async for batch in relation.batches:
        for user_id, value in zip(batch.column(USER_COLUMN).to_pylist(), batch.column(column).to_pylist(), strict=True):
            if user_id is None or value is None or value == "":
                continue
            groups, group = groups_by_user.setdefault(user_id, {}), str(value)
            if group not in groups:
                groups[group] = blake2b(f"{user_id}\n{group}".encode(), key=salt, digest_size=8).digest()
                if len(groups) > groups_per_user:
                    del groups[max(groups, key=groups.__getitem__)]
    return Counter(group for groups in groups_by_user.values() for group in groups)
