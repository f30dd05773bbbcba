"""Erasure requests among the topics of a sink: they take effect in order with its other writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiokafka import ConsumerRecord

from schemas.types import ErasureRequest
from streams.runtime.role import Role
from streams.runtime.sink import Write
from topics.topic import ERASURE_REQUESTS


def with_erasures(role: Role, write: Write, erase: Callable[[ErasureRequest], Awaitable[None]]) -> Write:
    """Return the write of a sink that also reads erasure requests.

    What the sink fetched before it knew an erasure is written before the erasure, and older records that it fetches
    afterwards are skipped: nothing of the user comes back.

    Args:
        role: The role of the sink.
        write: Writes the batches of the other topics.
        erase: Erases one user, however long that takes; a repetition must be harmless.
    """
    decoder = role.decoder(ERASURE_REQUESTS)

    async def write_or_erase(topic: str, records: Sequence[ConsumerRecord]) -> None:
        if topic != ERASURE_REQUESTS.name:
            await write(topic, records)
            return
        for _, request in await decoder.decode(records):
            if await role.erasures.wait_for(request.event_id):
                await erase(request)

    return write_or_erase
