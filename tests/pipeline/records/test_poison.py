"""What cannot be used is set aside with its bytes and its reason, and nothing stops for it."""

from __future__ import annotations

import random
import struct
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaProducer

from infra.address import Addresses
from schemas.codec import Codec
from schemas.types import Interaction
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline
from topics.topic import INTERACTIONS, ITEMS, LOCATIONS

GOOD, POISON = 10_000, 1_000
USERS = 100

Bytes = tuple[bytes | None, bytes | None]


@pytest.fixture(scope="module")
async def pipeline(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path_factory.mktemp("poison")) as pipeline:
        await pipeline.start("trainer,links")
        await pipeline.publish(ITEMS, [an_item(f"i{n}") for n in range(200)])
        yield pipeline


def kinds_of_poison(pipeline: Pipeline) -> dict[str, Callable[[int], Bytes]]:
    """Return a maker of (key, value) for each kind, by the reason it must be given."""
    codec: Codec[Interaction] = pipeline.registry.codec(Interaction)
    location = pipeline.registry.codec(LOCATIONS.record)

    def good(n: int) -> Interaction:
        return an_interaction(event_id=str(uuid.uuid4()), user_id=f"u{n % USERS}", item_id="i1")

    def framed(n: int) -> bytes:
        return codec.encode(good(n))

    def a_location(n: int) -> bytes:
        fields = {"event_id": "e", "user_id": f"u{n}", "cell": "c", "resolution": 7, "occurred_at": T0_MS}
        return location.encode(LOCATIONS.record(**fields))

    def unbelievable(n: int) -> bytes:
        return codec.encode(an_interaction(user_id=f"u{n % USERS}", action="rate", value=float("nan")))

    def faulty(n: int) -> bytes:
        return codec.encode(an_interaction(event_id=str(uuid.uuid4()), user_id=f"u{n % USERS}", item_id="cursed"))

    def key(n: int) -> bytes:
        return f"u{n % USERS}".encode()

    return {
        "empty_value": lambda n: (key(n), None),
        "bad_frame": lambda n: (key(n), b"\xff" + framed(n)[1:] if n % 2 else b"\x00\x01"),
        "unknown_schema": lambda n: (key(n), struct.pack(">bI", 0, 999_000 + n % 3) + framed(n)[5:]),
        "wrong_record": lambda n: (key(n), a_location(n)),
        "bad_body": lambda n: (key(n), framed(n)[:-3] if n % 2 else framed(n) + b"\x00"),
        "out_of_range": lambda n: (key(n), unbelievable(n)),
        "wrong_key": lambda n: (b"\xfe\xff somebody else", framed(n)),
        "agent_error": lambda n: (key(n), faulty(n)),
    }


async def test_a_thousand_poison_messages_among_ten_thousand(pipeline: Pipeline) -> None:
    worker = await pipeline.start_module("tests.pipeline.records.cursed_worker")
    makers = kinds_of_poison(pipeline)
    names = [*makers][: len(makers)]
    codec = pipeline.registry.codec(Interaction)
    events = [
        an_interaction(event_id=str(uuid.uuid4()), user_id=f"u{n % USERS}", item_id=f"i{n % 200}") for n in range(GOOD)
    ]
    messages: list[Bytes] = [(event.user_id.encode(), codec.encode(event)) for event in events]
    poison = [(names[n % len(names)], makers[names[n % len(names)]](n)) for n in range(POISON)]
    messages += [message for _, message in poison]
    random.Random(5).shuffle(messages)
    for key, value in messages:
        pipeline.publisher.produce_bytes(INTERACTIONS, key, value)
    await pipeline.publisher.flush()
    await pipeline.settle()

    letters = await pipeline.dead_letters()
    assert Counter(letter.reason for letter in letters) == Counter(reason for reason, _ in poison)
    assert Counter((letter.key, letter.value) for letter in letters) == Counter(message for _, message in poison)
    assert {letter.topic for letter in letters} == {INTERACTIONS.name}
    assert {letter.letter_id for letter in letters} == {f"{x.topic}-{x.partition}-{x.offset}" for x in letters}
    assert {letter.stage for letter in letters} == {"user.decode", "user.fold"}
    assert sum(features.event_count for features in (await pipeline.features()).values()) == GOOD
    assert worker.returncode is None
    assert await pipeline.stop(worker) == 0


async def test_any_compression_is_read(pipeline: Pipeline) -> None:
    worker = await pipeline.start("feed")
    codec = pipeline.registry.codec(Interaction)
    users = {f"user of {name}": name for name in (None, "gzip", "snappy", "lz4", "zstd")}
    for user_id, name in users.items():
        producer = AIOKafkaProducer(bootstrap_servers=pipeline.addresses.kafka_bootstrap_servers, compression_type=name)
        await producer.start()
        event = an_interaction(event_id=str(uuid.uuid4()), user_id=user_id, occurred_at=T0_MS)
        await producer.send_and_wait(INTERACTIONS.name, codec.encode(event), key=user_id.encode())
        await producer.stop()
    await pipeline.settle()
    event_counts = {
        user_id: user_features.event_count for user_id, user_features in (await pipeline.features()).items()
    }
    assert {user_id: event_counts.get(user_id) for user_id in users} == dict.fromkeys(users, 1)
    assert await pipeline.stop(worker) == 0
