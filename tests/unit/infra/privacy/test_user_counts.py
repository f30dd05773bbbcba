"""Counts of users by group: no user counts twice in a group, or in more groups than are allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pyarrow as pa
import pytest

from infra.analytics.relation import Relation
from infra.error import OperatorError
from infra.privacy.user_counts import user_counts

SCHEMA = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("topics", pa.list_(pa.string()))])


def a_relation(rows: Sequence[tuple[str | None, str | None]]) -> Relation:
    async def batches() -> AsyncIterator[pa.RecordBatch]:
        for start in range(0, len(rows), 7):
            users, items = zip(*rows[start : start + 7], strict=True)
            columns = [pa.array(users), pa.array(items, pa.string()), pa.array([[]] * len(users), SCHEMA.types[2])]
            yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

    return Relation("interactions", SCHEMA, batches())


async def test_a_flood_of_one_user_counts_once() -> None:
    rows = [("bot", "i1")] * 1_000 + [(f"u{number}", "i2") for number in range(3)] + [("u1", None), ("u2", "")]
    assert await user_counts(a_relation(rows), "item_id", groups_per_user=1) == {"i1": 1, "i2": 3}


@pytest.mark.parametrize("groups_per_user", [1, 3])
async def test_a_user_counts_in_a_bounded_number_of_groups(groups_per_user: int) -> None:
    rows = [(f"u{user}", f"i{item}") for item in range(20) for user in range(50)] * 2
    counts = await user_counts(a_relation(rows), "item_id", groups_per_user=groups_per_user)
    assert sum(counts.values()) == 50 * groups_per_user
    assert len(counts) > 10, "of each user another choice counts"


@pytest.mark.parametrize(("name", "column"), [("interactions", "topics"), ("interactions", "price")])
async def test_what_is_no_group_is_refused(name: str, column: str) -> None:
    with pytest.raises(OperatorError, match=column):
        await user_counts(a_relation([]), column, groups_per_user=1)


async def test_rows_without_users_are_refused() -> None:
    relation = a_relation([]).select(["item_id"])
    with pytest.raises(OperatorError, match="belong to no user"):
        await user_counts(relation, "item_id", groups_per_user=1)
