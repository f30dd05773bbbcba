"""Replay of dead letters: a reader of the open ones, and a sender of their messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.dead_letter_size import is_whole
from infra.kafka.publisher import Publisher, RecordTooLargeError
from infra.kafka.registry import Registry
from schemas.types import DeadLetter
from topics.topic import DEAD_LETTERS, TOPICS

REPLAYED_HEADER = "millrace-replayed-from"
"""Header of a replayed message: the id of its dead letter."""
_OURS = frozenset(topic.name for topic in TOPICS)
_POLL_S = 1.0
_SILENT_POLLS = 10
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """A filter for dead letters; a field that is None matches everything."""

    ids: frozenset[str] | None = None
    topic: str | None = None
    reason: str | None = None
    stage: str | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Say whether a dead letter matches."""
        return (
            (self.ids is None or letter.letter_id in self.ids)
            and self.topic in (None, letter.topic, letter.topic.rpartition(".")[0])
            and self.reason in (None, letter.reason)
            and self.stage in (None, letter.stage)
        )


def open_dead_letters(
    bootstrap_servers: str, registry: Registry, criteria: DeadLetterFilter, *, erasures: ErasureIndex | None = None
) -> list[DeadLetter]:
    """Return the open dead letters, oldest failure first; replayed ones are closed.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        registry: Decodes the records.
        criteria: The filter.
        erasures: The erased users, whose older messages are left out: sent again, they would be new.

    Raises:
        KafkaException: the brokers do not answer.
    """
    codec = registry.codec(DeadLetter)
    newest: dict[bytes, DeadLetter | None] = {}
    for key, value in _messages(bootstrap_servers):
        newest[key] = None if value is None else codec.decode(value)
    matches = (
        letter
        for letter in newest.values()
        if letter is not None
        and criteria.matches(letter)
        and (erasures is None or not erasures.covers(letter.key, letter.timestamp or letter.failed_at))
    )
    return sorted(matches, key=lambda letter: (letter.failed_at, letter.letter_id))


async def replay(publisher: Publisher, letters: Iterable[DeadLetter]) -> int:
    """Send the original bytes to the original topics again, close the dead letters, and return their number.

    A dead letter stays open if its message was never on one of our topics (collected records), if it holds only a part
    of the message, or if the message is still larger than its topic accepts.
    A dead letter is closed only after its message was acknowledged, so a crash in between sends it once more at most.

    Raises:
        PublishError: the brokers did not acknowledge all messages; the dead letters stay open.
    """
    replayed_letters: list[DeadLetter] = []
    for letter in letters:
        if letter.topic in _OURS and is_whole(letter):
            headers = letter.headers | {REPLAYED_HEADER: letter.letter_id.encode()}
            with suppress(RecordTooLargeError):
                publisher.produce_bytes(letter.topic, letter.key, letter.value, headers=headers)
                replayed_letters.append(letter)
    await publisher.flush()
    for letter in replayed_letters:
        publisher.produce_bytes(DEAD_LETTERS, letter.letter_id.encode(), None)
    await publisher.flush()
    return len(replayed_letters)


def _messages(bootstrap_servers: str) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the keys and values of the topic up to its current end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "millrace-cli",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.list_topics(DEAD_LETTERS.name, timeout=10.0)
        unread_partitions = set(range(DEAD_LETTERS.partitions))
        consumer.assign([TopicPartition(DEAD_LETTERS.name, number, OFFSET_BEGINNING) for number in unread_partitions])
        silent_polls = 0
        while unread_partitions and silent_polls < _SILENT_POLLS:
            messages = consumer.consume(_BATCH, timeout=_POLL_S)
            silent_polls = 0 if messages else silent_polls + 1
            for message in messages:
                error = message.error()
                if error is None:
                    yield message.key() or b"", message.value()
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread_partitions.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
