"""What a decoder skips: the older records of erased users, and deletions that its agent keeps nothing of."""

from __future__ import annotations

from typing import Any, cast

from infra.erasure.erasure_index import ErasureIndex, ErasureKey
from infra.kafka.publisher import Publisher
from schemas.types import DeadLetter, Erasure, ErasureRequest
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.decode import Decoder
from tests.broker import Broker, Codecs, Record
from tests.build import T0_MS, an_interaction, an_item, features
from topics import Topic
from topics.topic import DEAD_LETTERS, ERASURE_REQUESTS, FEATURES, INTERACTIONS, ITEMS, PROFILES

KEY = ErasureKey(b"a secret")


class World:
    """Erasures of Alex, and a queue of dead letters."""

    def __init__(self) -> None:
        self.broker, self.erasures = Broker(), ErasureIndex(KEY)
        self.publisher = Publisher("", cast(Any, Codecs()), new_producer=cast(Any, self.broker.producer))
        self.dead_letters = DeadLetterQueue(self.publisher, now_ms=lambda: T0_MS)
        erasure = Erasure(user_hash=KEY.hash_of(b"alex"), key_id=KEY.key_id, request_id="r1", occurred_at=T0_MS)
        self.erasures.apply(erasure, T0_MS + 5)

    async def decode(self, topic: Topic, *records: Record, tombstones: bool = False) -> list[Any]:
        decoder = Decoder(
            topic, cast(Any, Codecs()), self.dead_letters, stage="test", tombstones=tombstones, erasures=self.erasures
        )
        return [value for _, value in await decoder.decode(cast(Any, records))]

    async def reasons(self) -> list[str]:
        await self.publisher.flush()
        letters: dict[str, DeadLetter] = self.broker.newest(DEAD_LETTERS)
        return [letter.reason for letter in letters.values()]


def a_record(topic: Topic, value: Any, at_ms: int, *, key: bytes | None = None) -> Record:
    data = None if value is None else Codecs().codec(topic.record).encode(value)
    return Record(topic.name, 0, 0, topic.key_of(value) if key is None else key, data, at_ms)


async def test_older_records_of_an_erased_user_are_skipped_and_are_no_dead_letters() -> None:
    world = World()
    old, new, other = (
        an_interaction(event_id=event_id, user_id=user_id, occurred_at=T0_MS)
        for event_id, user_id in (("old", "alex"), ("new", "alex"), ("other", "kim"))
    )
    times = ((old, 5), (new, 6), (other, 5))
    records = [a_record(INTERACTIONS, event, T0_MS + after_ms) for event, after_ms in times]
    unreadable = Record(INTERACTIONS.name, 0, 1, b"alex", b"\x00", T0_MS)
    assert await world.decode(INTERACTIONS, *records, unreadable) == [new, other]
    assert await world.reasons() == []


async def test_an_item_of_the_same_name_stays() -> None:
    item = an_item("alex")
    assert await World().decode(ITEMS, a_record(ITEMS, item, T0_MS)) == [item]


async def test_the_request_of_the_erasure_is_read() -> None:
    request = ErasureRequest(event_id="r1", user_id="alex", occurred_at=T0_MS)
    assert await World().decode(ERASURE_REQUESTS, a_record(ERASURE_REQUESTS, request, T0_MS + 5)) == [request]


async def test_deletions_on_compacted_topics_are_skipped_by_those_who_keep_nothing_of_them() -> None:
    world, deletion = World(), a_record(FEATURES, None, T0_MS + 9, key=b"kim")
    newest = features(user_id="kim")
    assert await world.decode(FEATURES, deletion, a_record(FEATURES, newest, T0_MS + 9)) == [newest]
    assert await world.decode(PROFILES, a_record(PROFILES, None, T0_MS + 9, key=b"kim"), tombstones=True) == [None]
    assert await world.reasons() == []
    assert await world.decode(INTERACTIONS, a_record(INTERACTIONS, None, T0_MS + 9, key=b"kim")) == []
    assert await world.reasons() == ["empty_value"]
