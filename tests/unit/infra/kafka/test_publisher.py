"""Publishing: a record that can never be written is rejected for its key alone, any other loss is never forgotten."""

from __future__ import annotations

from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.dead_letter_size import fit_to_topic, is_whole
from infra.kafka.publisher import Publisher, PublishError, RecordTooLargeError
from schemas.types import DeadLetter
from tests.broker import Broker, Codecs
from tests.build import a_feed, an_item, features
from topics.topic import DEAD_LETTERS, FEATURES, FEEDS, ITEMS, MIB

LONG = "語" * 256


def a_publisher(broker: Broker, **options: Any) -> Publisher:
    return Publisher("", cast(Any, Codecs()), new_producer=cast(Any, broker.producer), **options)


def a_letter(**fields: Any) -> DeadLetter:
    told_fields: dict[str, Any] = {"letter_id": "t-0-1", "topic": "t", "partition": 0, "offset": 1, "timestamp": 0}
    return DeadLetter(**told_fields | {"stage": "user.decode", "reason": "bad_body", "failed_at": 1} | fields)


async def test_a_record_larger_than_its_topic_takes_becomes_a_letter_and_the_others_go_on() -> None:
    broker = Broker()
    publisher = a_publisher(broker)
    for user_id, count in (("a", 1), ("b", 2_000), ("c", 3)):
        publisher.produce(FEATURES, features(user_id=user_id, seen=[f"{LONG}{n}" for n in range(count)]))
    await publisher.flush()
    assert set(broker.newest(FEATURES)) == {"a", "c"}
    [letter] = broker.newest(DEAD_LETTERS).values()
    assert (letter.topic, letter.key, letter.stage, letter.reason) == (FEATURES.name, b"b", "publish", "too_large")
    assert len(letter.value) > MIB
    assert "'b' has 15" in letter.detail
    assert publisher.describe() == {"rejected": {FEATURES.name: 1}}
    await publisher.close()


@pytest.mark.parametrize("wrong", [{"version": 1 << 63}, {"watermark": "now"}, {"hours": ["x"]}, {"seen": [b"bytes"]}])
async def test_a_record_that_does_not_fit_its_schema_becomes_a_letter(wrong: dict[str, Any]) -> None:
    broker = Broker()
    publisher = a_publisher(broker)
    for fields in (wrong, {}):
        publisher.produce(FEATURES, features(user_id=f"u{len(fields)}", **fields))
    await publisher.flush()
    assert set(broker.newest(FEATURES)) == {"u0"}
    [letter] = broker.newest(DEAD_LETTERS).values()
    assert (letter.key, letter.value, letter.reason) == (b"u1", None, "unwritable")
    await publisher.close()


async def test_of_one_key_there_is_one_letter_a_minute() -> None:
    broker = Broker()
    publisher = a_publisher(broker, limits={FEATURES.name: 1_000})
    for user_id in ("a", "b", "a", "a"):
        publisher.produce(FEATURES, features(user_id=user_id, seen=[LONG] * 2))
    await publisher.flush()
    letters = [record for (topic, _), log in broker.logs.items() if topic == DEAD_LETTERS.name for record in log]
    assert (len(letters), publisher.rejected_counts[FEATURES.name]) == (2, 4)
    await publisher.close()


async def test_what_somebody_waits_for_is_refused_as_a_whole() -> None:
    broker = Broker()
    publisher = a_publisher(broker, limits={ITEMS.name: 5_000})
    with pytest.raises(RecordTooLargeError, match="'b' has"):
        await publisher.publish(ITEMS, [an_item("a"), an_item("b", description="語" * 2_000), an_item("c")])
    assert broker.newest(ITEMS) == {}
    await publisher.close()


async def test_a_state_larger_than_its_changelog_takes_is_left_out_of_it() -> None:
    broker = Broker()
    publisher = a_publisher(broker)
    pairs = [(b"a", b"1"), (b"b", bytes(MIB)), (b"c", b"3")]
    assert await publisher.publish_at("users-changelog", {3: pairs, 4: pairs[1:2]}) == {3: 1}
    assert [record.key for record in broker.logs["users-changelog", 3]] == [b"a", b"c"]
    await publisher.flush()
    assert {letter.key for letter in broker.newest(DEAD_LETTERS).values()} == {b"b"}
    await publisher.close()


async def test_a_letter_that_its_topic_does_not_take_is_not_written_about() -> None:
    broker = Broker()
    publisher = a_publisher(broker, limits={FEATURES.name: 500, DEAD_LETTERS.name: 500})
    publisher.produce(FEATURES, features(seen=[LONG]))
    await publisher.flush()
    assert publisher.rejected_counts == {FEATURES.name: 1, DEAD_LETTERS.name: 1}
    await publisher.close()


class Crowded:
    """A client whose buffer is full for a while."""

    def __init__(self, refusals: int, error: Exception) -> None:
        self.refusals, self._error = refusals, error
        self.buffered_count = 0

    def __len__(self) -> int:
        return 0

    def produce(self, *_: Any, **__: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise self._error
        self.buffered_count += 1

    def poll(self, _timeout_s: float) -> int:
        return 0

    def flush(self, _timeout_s: float) -> int:
        return 0

    def purge(self) -> None:
        self.buffered_count = 0


async def test_a_full_buffer_is_waited_for() -> None:
    client = Crowded(3, BufferError("full"))
    publisher = a_publisher(Broker(), limits=None)
    publisher._new_producer = cast(Any, lambda _: client)
    publisher.produce(FEEDS, a_feed())
    await publisher.flush()
    assert client.buffered_count == 1
    await publisher.close()


@pytest.mark.parametrize(
    ("error", "refusals"), [(BufferError("full"), 1 << 60), (KafkaException(KafkaError(KafkaError._FATAL)), 1)]
)
async def test_a_loss_is_raised_by_every_later_flush(error: Exception, refusals: int) -> None:
    publisher = a_publisher(Broker(), timeout_s=0.05)
    publisher._new_producer = cast(Any, lambda _: Crowded(refusals, error))
    with pytest.raises(PublishError):
        publisher.produce(FEEDS, a_feed())
    for _ in range(3):
        with pytest.raises(PublishError):
            await publisher.flush()
    await publisher.close()


async def test_an_absent_broker_is_raised_by_every_later_flush() -> None:
    publisher = Publisher("127.0.0.1:1", cast(Any, Codecs()), timeout_s=0.2)
    publisher.produce(FEEDS, a_feed())
    for _ in range(2):
        with pytest.raises(PublishError, match="still waiting"):
            await publisher.flush()
    await publisher.close()


BYTES = st.integers(0, 3 * MIB).map(bytes)


@given(value=st.none() | BYTES, key=st.none() | BYTES, headers=st.dictionaries(st.text(max_size=9), BYTES, max_size=3))
def test_any_message_has_a_letter_that_its_topic_takes(
    value: bytes | None, key: bytes | None, headers: dict[str, bytes]
) -> None:
    letter = a_letter(value=value, key=key, headers=headers, detail="語" * 5_000)
    cut = fit_to_topic(letter)
    assert len(Codecs().codec(DeadLetter).encode(cut)) < DEAD_LETTERS.max_message_bytes - 1_000
    if is_whole(cut):
        assert (cut.value, cut.key, cut.headers) == (value, key, headers)
