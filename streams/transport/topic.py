"""Declaring the topics that agents read in batches."""

from __future__ import annotations

from typing import Any

import faust
from faust.types import AppT, EventT, Message


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Hands batches on untouched: decoding is the agent's task. Its presence on a topic is what makes it batched."""

    def compile(self, app: AppT, **_: Any) -> Any:
        """Return the function that makes an event of a message."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT:
            return create_event(None, message.value, None, message)

        return decode


def batch_topic(app: AppT, *names: str) -> Any:
    """Return a Faust topic for agents whose events' values are `Batch`es."""
    return app.topic(*names, schema=BatchSchema())
