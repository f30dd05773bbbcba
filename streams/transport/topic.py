"""Batched topics: the declaration of topics that agents read in batches."""

from __future__ import annotations

from typing import Any

import faust
from faust.types import AppT, EventT, Message


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Passes batches on undecoded: agents decode them. A topic with this schema is read in batches."""

    def compile(self, app: AppT, **_: Any) -> Any:
        """Return the function that makes an event from a message."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT:
            return create_event(None, message.value, None, message)

        return decode


def batch_topic(app: AppT, *names: str) -> Any:
    """Return a Faust topic whose events carry values of type `Batch`."""
    return app.topic(*names, schema=BatchSchema())
