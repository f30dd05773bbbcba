"""The records that a purge removes: those of erased users up to the erasure, what deletes them, and nobody else's."""

from __future__ import annotations

from infra.erasure.erasure_index import ErasureIndex, ErasureKey
from infra.erasure.purge.erased_records import ErasedRecords
from schemas.types import Erasure

KEY = ErasureKey(b"a secret")
LINE_MS = 100


def erasures() -> ErasureIndex:
    """Return an index in which alex is erased."""
    index = ErasureIndex(KEY)
    index.apply(
        Erasure(user_hash=KEY.hash_of(b"alex"), key_id=KEY.key_id, request_id="r1", occurred_at=LINE_MS), LINE_MS
    )
    return index


def test_records_up_to_the_line_go_and_those_of_others_and_later_ones_stay() -> None:
    records = ErasedRecords(erasures(), is_compacted=False)
    for offset, (user, at_ms) in enumerate([(b"alex", 1), (b"kim", 2), (b"alex", 100), (b"alex", 101), (None, 3)]):
        records.add(offset, user, at_ms)
    assert records.ranges() == [(0, 1), (2, 3)]


def test_in_compacted_topics_the_tombstone_goes_with_what_it_deletes() -> None:
    records = ErasedRecords(erasures(), is_compacted=True)
    records.add(0, b"alex", 50)
    records.add(1, b"alex", 101)  # written before the role knew the erasure
    records.add(2, b"kim", 102, is_tombstone=True)
    records.add(3, b"alex", 103, is_tombstone=True)
    records.add(4, b"alex", 104)  # the user has come back
    assert (records.ranges(), records.unread_count) == ([(0, 2), (3, 4)], 0)


def test_a_tombstone_that_somebody_has_to_read_stays_without_what_it_deletes() -> None:
    records = ErasedRecords(erasures(), is_compacted=True, read_until=2)
    records.add(1, b"alex", 101)
    records.add(2, b"alex", 103, is_tombstone=True)
    assert (records.ranges(), records.unread_count) == ([(1, 2)], 1)


def test_requests_go_once_they_are_read() -> None:
    records = ErasedRecords(erasures(), is_compacted=False, read_until=6)
    records.add_note(4, b"kim")
    records.add_note(5, b"alex")
    records.add_note(6, b"alex")
    assert (records.ranges(), records.unread_count) == ([(5, 6)], 1)


def test_a_null_value_deletes_nothing_where_topics_are_not_compacted() -> None:
    records = ErasedRecords(erasures(), is_compacted=False)
    records.add(0, b"alex", 101)
    records.add(1, b"alex", 102, is_tombstone=True)
    assert records.ranges() == []


def test_without_erasures_nothing_goes() -> None:
    records = ErasedRecords(ErasureIndex(KEY), is_compacted=True)
    records.add(0, b"alex", 0)
    records.add(1, b"alex", 1, is_tombstone=True)
    assert records.ranges() == []
