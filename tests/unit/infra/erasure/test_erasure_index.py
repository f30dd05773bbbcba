"""Whose records are skipped: those of an erased user, up to the erasure, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.erasure.erasure_index import ErasureIndex, ErasureKey, erasure_key, required_erasure_key
from infra.erasure.erasure_log import request_erasure
from infra.error import OperatorError
from infra.fakes.memory_publisher import MemoryPublisher
from infra.settings import Settings
from schemas.types import Erasure, ErasureRequest
from topics.topic import ERASURE_REQUESTS, ERASURES

KEY = ErasureKey(b"a secret")


def an_erasure(user_id: str, *, key: ErasureKey = KEY, request_id: str = "r1", occurred_at: int = 1) -> Erasure:
    user_hash = key.hash_of(user_id.encode())
    return Erasure(user_hash=user_hash, key_id=key.key_id, request_id=request_id, occurred_at=occurred_at)


def test_records_up_to_the_erasure_are_covered_and_later_ones_are_not() -> None:
    index = ErasureIndex(KEY)
    assert not index.covers(b"alex", 5)
    assert index.apply(an_erasure("alex"), 10)
    assert [index.covers(b"alex", at_ms) for at_ms in (5, 10, 11)] == [True, True, False]
    assert not index.covers(b"kim", 5)
    assert not index.covers(None, 5)
    assert (index.erased_at("alex"), index.erased_at("kim"), len(index)) == (10, -1, 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), max_size=12))
def test_the_order_of_erasures_does_not_matter(erasures: list[tuple[str, int]]) -> None:
    orders = [erasures, sorted(erasures), sorted(erasures, reverse=True)]
    indexes = [ErasureIndex(KEY) for _ in orders]
    for index, order in zip(indexes, orders, strict=True):
        for user_id, at_ms in order:
            index.apply(an_erasure(user_id), at_ms)
    for user_id in "abc":
        newest = max((at_ms for one, at_ms in erasures if one == user_id), default=-1)
        assert {index.erased_at(user_id) for index in indexes} == {newest}


def test_an_erasure_by_another_key_is_reported() -> None:
    index = ErasureIndex(KEY)
    assert not index.apply(an_erasure("alex", key=ErasureKey(b"another")), 10)
    assert not index.covers(b"alex", 5)


def test_without_a_key_nobody_is_recognised() -> None:
    index = ErasureIndex(None)
    assert not index.apply(an_erasure("alex"), 10)
    assert not index.covers(b"alex", 5)
    assert index.erased_at("alex") == -1


def test_outside_development_a_key_is_required() -> None:
    settings = replace(Settings(), environment="production")
    assert erasure_key(settings) is None
    with pytest.raises(OperatorError, match="without a key"):
        required_erasure_key(settings)
    assert required_erasure_key(replace(settings, erasure_key="k" * 32)).key_id == ErasureKey(b"k" * 32).key_id
    assert erasure_key(Settings()) is not None


async def test_a_request_waits_until_its_erasure_is_known() -> None:
    index = ErasureIndex(KEY)
    waiting = asyncio.create_task(index.wait_for("r2"))
    index.apply(an_erasure("alex", request_id="r1"), 10)
    await asyncio.sleep(0)
    assert not waiting.done()
    index.apply(an_erasure("kim", request_id="r2"), 11)
    assert await waiting
    assert not await index.wait_for("made up", timeout_s=0.01)


async def test_the_erasure_is_published_before_its_request_and_holds_no_id() -> None:
    publisher = MemoryPublisher()
    request = ErasureRequest(event_id="r1", user_id="alex", occurred_at=7)
    assert await request_erasure(publisher, KEY, request) is not None
    assert publisher.values_of(ERASURES) == [an_erasure("alex", occurred_at=7)]
    assert publisher.values_of(ERASURE_REQUESTS) == [request]
