"""Relation: a schema, and its rows in batches, read only as far as they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from infra.error import OperatorError


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """The times from one to another, in ms since the epoch; None for no bound. The end is not part of it."""

    from_ms: int | None = None
    until_ms: int | None = None


ALWAYS = TimeSpan()


@dataclass(frozen=True, slots=True)
class Relation:
    """A table to be read once."""

    name: str
    schema: pa.Schema
    batches: AsyncIterator[pa.RecordBatch]

    def select(self, columns: Sequence[str]) -> Relation:
        """Return the relation with these columns alone, in this order.

        Raises:
            OperatorError: it lacks one of them.
        """
        unknown = [name for name in columns if name not in self.schema.names]
        if unknown:
            raise OperatorError(
                f"{self.name} has no column {', '.join(unknown)}.", f"Its columns are {', '.join(self.schema.names)}."
            )
        names = list(columns)
        schema = pa.schema([self.schema.field(name) for name in names])
        return replace(self, schema=schema, batches=(batch.select(names) async for batch in self.batches))

    def head(self, limit: int) -> Relation:
        """Return the relation with its first rows alone."""
        return replace(self, batches=_head(self.batches, limit))


async def _head(batches: AsyncIterator[pa.RecordBatch], limit: int) -> AsyncIterator[pa.RecordBatch]:
    left_count = limit
    while left_count > 0:
        batch = await anext(batches, None)
        if batch is None:
            return
        yield batch.slice(0, left_count)
        left_count -= batch.num_rows
