"""Publishing the data set: directly to Kafka, and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
import msgspec

from cli.commands.stack.demo.proof import DemoError
from infra.kafka.publisher import Publisher
from schemas.types import Interaction
from topics import Topic

Advance = Callable[[int], None]

_KAFKA_BATCH = 2_000
_API_BATCH = 500
_RETRIES = 5


async def to_kafka(publisher: Publisher, topic: Topic, values: Sequence[msgspec.Struct], advance: Advance) -> int:
    """Publish records, and return the number of records once the broker has acknowledged all of them.

    Args:
        publisher: The publisher.
        topic: The topic of the records.
        values: The records.
        advance: Called with the size of each acknowledged batch.

    Raises:
        PublishError: the broker did not acknowledge all records.
    """
    for start in range(0, len(values), _KAFKA_BATCH):
        batch = values[start : start + _KAFKA_BATCH]
        for value in batch:
            publisher.produce(topic, value)
        await publisher.flush()
        advance(len(batch))
    return len(values)


async def to_api(client: httpx.AsyncClient, interactions: Sequence[Interaction], advance: Advance) -> int:
    """Publish interactions with POST /interaction/batch, and return their number.

    Args:
        client: A client of the API.
        interactions: The interactions.
        advance: Called with the size of each accepted batch.

    Raises:
        DemoError: the API rejected some.
    """
    for start in range(0, len(interactions), _API_BATCH):
        batch = interactions[start : start + _API_BATCH]
        await post(client, "/interaction/batch", {"interactions": batch})
        advance(len(batch))
    return len(interactions)


async def post(client: httpx.AsyncClient, path: str, body: object) -> None:
    """Post a JSON body; retry with the same event ids while the API is unavailable.

    Raises:
        DemoError: the API rejected the body, or stayed unavailable.
    """
    content = msgspec.json.encode(body)
    problem = ""
    for _ in range(_RETRIES):
        try:
            answer = await client.post(path, content=content, headers={"Content-Type": "application/json"})
        except httpx.TransportError as error:
            problem = f"{type(error).__name__} {error}"
            continue
        if answer.status_code == httpx.codes.ACCEPTED:
            return
        problem = f"{answer.status_code} {answer.text[:500]}"
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    raise DemoError(f"POST {path}: {problem}")
