"""Tracking of erasures: a request is complete once every role has committed its offset, after it erased its part.

The roles without a commit in the topics at all do not run here, and hold nothing. A role that is down has committed
other offsets: an erasure is complete only after it has come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from domain.timestamp import HOUR_MS
from infra import clock
from infra.erasure.erasure_index import ErasureKey
from infra.erasure.erasure_store import ErasureStore
from infra.erasure.receipt import ErasedStore, ExpiringTopic, Receipt, signed
from infra.kafka.admin.offsets import TIMEOUT_S, committed_offsets
from infra.kafka.admin.provision import changelogs, consumer_group
from infra.redis.connection import StoreError
from topics import TOPICS
from topics.topic import ERASURE_REQUESTS

ROLES = ("feed", "push", "log", "outcomes", "archive", "shop", "trainer")
"""The roles that hold data of users; each commits an erasure request once its part is durably erased."""
_ITEMS_CHANGELOG = f"{consumer_group('feed')}-items-changelog"
_SLACK_MS = HOUR_MS
"""Time in which brokers look for segments to delete, and in which calls in progress may still name the user."""
_UNLIMITED_MS = 1 << 62


class ErasureProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a user's newest erasure."""

    request_id: str
    requested_at: int
    """In ms since the epoch."""
    pending_roles: list[str]
    """Roles that have not erased their part yet; empty once the erasure is complete."""
    receipt: Receipt | None = None
    """Null until the erasure is complete."""


class ErasureTracker(Protocol):
    """Reports the progress of erasures."""

    async def progress(self, user_id: str) -> ErasureProgress | None:
        """Return the state of a user's newest erasure; None without one in the last 30 days.

        Raises:
            StoreError: Redis or Kafka does not answer.
        """
        ...


class NoErasureTracker:
    """Knows of no erasures."""

    async def progress(self, user_id: str) -> ErasureProgress | None:
        """Return nothing."""
        return None


class KafkaErasureTracker:
    """Compares the offsets of requests with those that the roles have committed."""

    def __init__(self, bootstrap_servers: str, store: ErasureStore, key: ErasureKey) -> None:
        """Create a tracker; it connects at the first use.

        Args:
            bootstrap_servers: Brokers, as comma-separated host:port.
            store: The requests, and the counts of what was erased.
            key: Signs the receipts.
        """
        self._bootstrap_servers, self._store, self._key = bootstrap_servers, store, key
        self._admin: Any = None
        self._lock = asyncio.Lock()

    async def progress(self, user_id: str) -> ErasureProgress | None:
        """Return the state of a user's newest erasure."""
        entry = await self._store.read(self._key.hash_of(user_id.encode()))
        if entry is None:
            return None
        erasure, counts = entry
        try:
            async with self._lock:
                pending = await asyncio.to_thread(self._pending_roles, erasure.partition, erasure.offset)
                expiries = [] if pending else await asyncio.to_thread(self._expiries, erasure.requested_at)
        except (KafkaException, TimeoutError) as error:
            raise StoreError("reading the progress of an erasure", error) from error
        receipt = None
        if not pending:
            receipt = signed(
                Receipt(
                    user_hash=erasure.user_hash,
                    request_id=erasure.request_id,
                    requested_at=erasure.requested_at,
                    completed_at=await self._store.complete(erasure.request_id, clock.now_ms()),
                    stores=[ErasedStore(name=name, erased=count) for name, count in sorted(counts.items())],
                    topics=expiries,
                    key_id=self._key.key_id,
                ),
                self._key,
            )
        return ErasureProgress(
            request_id=erasure.request_id, requested_at=erasure.requested_at, pending_roles=pending, receipt=receipt
        )

    def _client(self) -> Any:
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self._bootstrap_servers, "log_level": 0})
        return self._admin

    def _pending_roles(self, partition: int, offset: int) -> list[str]:
        pending = []
        for role in ROLES:
            offsets = committed_offsets(self._client(), consumer_group(role))
            if offsets and offsets.get((ERASURE_REQUESTS.name, partition), 0) <= offset:
                pending.append(role)
        return pending

    def _expiries(self, requested_at: int) -> list[ExpiringTopic]:
        """Return the topics that hold records of users, with the times by which they are gone."""
        names = [topic.name for topic in TOPICS if topic.is_personal]
        names += [topic.name for topic in changelogs() if topic.name != _ITEMS_CHANGELOG]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        expiries = []
        for resource, future in self._client().describe_configs(resources, request_timeout=TIMEOUT_S).items():
            config = {name: entry.value for name, entry in future.result(TIMEOUT_S).items()}
            lifetime_ms = longest_lifetime_ms(config)
            gone_by = None if lifetime_ms is None else requested_at + lifetime_ms + _SLACK_MS
            expiries.append(ExpiringTopic(name=resource.name, gone_by=gone_by))
        return sorted(expiries, key=lambda one: one.name)


def longest_lifetime_ms(config: Mapping[str, str]) -> int | None:
    """Return how long a topic holds a record after a newer one of its key, in ms; None for no limit.

    A segment is deleted once its newest record is past retention. A compacted record goes after the largest lag of
    compaction, and its tombstone, which names the key, one lag after the time for which deletions are kept.

    >>> longest_lifetime_ms({"cleanup.policy": "delete", "retention.ms": "1000", "segment.ms": "200"})
    1200
    >>> compaction = {"cleanup.policy": "compact", "max.compaction.lag.ms": "300", "delete.retention.ms": "100"}
    >>> longest_lifetime_ms(compaction | {"retention.ms": "-1", "segment.ms": "200"})
    700
    >>> longest_lifetime_ms(compaction | {"max.compaction.lag.ms": str(2**63 - 1)}) is None
    True

    Args:
        config: The topic's configuration.
    """
    policy, lifetimes_ms = config["cleanup.policy"], []
    if "delete" in policy and int(config["retention.ms"]) >= 0:
        lifetimes_ms.append(int(config["retention.ms"]) + int(config["segment.ms"]))
    if "compact" in policy and int(config["max.compaction.lag.ms"]) < _UNLIMITED_MS:
        lifetimes_ms.append(2 * int(config["max.compaction.lag.ms"]) + int(config["delete.retention.ms"]))
    return min(lifetimes_ms, default=None)
