"""Decoder: from the bytes of a batch to records; unusable ones go to the dead-letter topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import httpx
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.registry import Registry
from schemas import record_limit, text
from schemas.codec import DecodeError, UnseenSchemaError
from streams.runtime.dead_letter_queue import DeadLetterQueue, Record
from topics import Topic
from topics.topic import ERASURE_REQUESTS

_LOG = logging.getLogger(__name__)
_RETRY_S = 1.0
_MISSING_FOR_S = 60.0
"""Time for which a schema id unknown to the registry counts as missing, before the next look-up."""


class Decoder:
    """Decodes and checks the records of one topic.

    Args:
        topic: The topic of the records.
        registry: The registry of the writers' schemas.
        dead_letters: Receives unusable records; None skips them, for topics where another agent reports them.
        stage: The name of the agent, for the dead letters.
        tombstones: Whether a null value under a key is a deletion, decoded as None. Otherwise it is skipped if the
            topic is compacted, and unusable if it is not.
        erasures: The erased users, whose older records are skipped; for topics without users there need be none.
    """

    def __init__(
        self,
        topic: Topic,
        registry: Registry,
        dead_letters: DeadLetterQueue | None,
        *,
        stage: str,
        tombstones: bool = False,
        erasures: ErasureIndex | None = None,
    ) -> None:
        self._topic, self._registry, self._dead_letters = topic, registry, dead_letters
        self._erasures = erasures if topic.is_keyed_by_user and topic is not ERASURE_REQUESTS else None
        self._skips_deletions = topic.is_compacted and not tombstones
        self._tombstones = tombstones
        self._codec = registry.codec(topic.record)
        self._stage = f"{stage}.decode"
        self._last_lookup_s = 0.0

    async def decode(self, records: Iterable[Record]) -> list[tuple[Record, Any]]:
        """Return the usable records with their values, in order; the others become dead letters."""
        usable: list[tuple[Record, Any]] = []
        for record in records:
            if self._is_skipped(record):
                continue
            try:
                usable.append((record, self._decode(record)))
            except UnseenSchemaError as schema_error:
                await self._learn(schema_error.schema_id)
                try:
                    usable.append((record, self._decode(record)))
                except Exception as error:
                    self._refuse(record, error)
            except Exception as error:  # a DecodeError, or an unforeseen error of a check
                self._refuse(record, error)
        return usable

    def _is_skipped(self, record: Record) -> bool:
        if self._skips_deletions and record.value is None and record.key:
            return True
        return self._erasures is not None and self._erasures.covers(record.key, record.timestamp)

    def _refuse(self, record: Record, error: Exception) -> None:
        if self._dead_letters is not None:
            self._dead_letters.put(record, error, stage=self._stage)

    def _decode(self, record: Record) -> Any:
        if self._tombstones and record.value is None and record.key:
            return _deleted(record.key)
        value = text.canonical(self._codec.decode(record.value))
        record_limit.check(value, now_ms=record.timestamp)
        if self._topic.key_of(value) != record.key:
            raise DecodeError("wrong_key", f"the key is not the record's {self._topic.key}")
        return value

    async def _learn(self, schema_id: int) -> None:
        """Look a schema up until the registry answers: an unavailable registry says nothing about the record."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._last_lookup_s > _MISSING_FOR_S:
            self._last_lookup_s = now_s
            self._codec.forget_missing()
        while True:
            try:
                return await self._registry.learn(self._codec, schema_id)
            except (SchemaRegistryError, httpx.HTTPError) as error:
                _LOG.warning("the schema registry did not answer; retrying: %s", error)
                await asyncio.sleep(_RETRY_S)


def _deleted(key: bytes) -> None:
    """Check the key of a deletion, the only thing that identifies it."""
    try:
        key.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("wrong_key", f"the key is no UTF-8: {error}") from error
