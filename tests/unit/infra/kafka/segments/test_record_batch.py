"""A batch without some records: the others are as they were, whatever compresses them, and no offset is free again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.segments.record_batch import SegmentError, without
from tests.unit.infra.kafka.segments.segment import a_batch, next_offset, records_of

KEYS = [b"alex", b"kim", b"alex", b"jo", b"", b"alex"]
CODECS = pytest.mark.parametrize("compression", range(5), ids=("none", "gzip", "snappy", "lz4", "zstd"))


@CODECS
def test_other_records_are_as_they_were(compression: int) -> None:
    batch = a_batch(KEYS, base_offset=100, compression=compression)
    rest = without(batch, {100, 102, 105})
    assert records_of(rest) == [record for record in records_of(batch) if record.key != b"alex"]
    assert [record.offset for record in records_of(rest)] == [101, 103, 104]
    assert next_offset(rest) == next_offset(batch) == 106
    assert rest[61 - 4 - 4 - 10 : 61 - 4] == batch[61 - 4 - 4 - 10 : 61 - 4], "the producer is the same"


@CODECS
def test_a_batch_without_records_keeps_its_offsets(compression: int) -> None:
    rest = without(a_batch(KEYS, base_offset=100, compression=compression), range(100, 106))
    assert (records_of(rest), next_offset(rest), len(rest)) == ([], 106, 61)
    assert without(rest, range(100, 106)) is rest


def test_a_batch_without_such_records_is_the_same() -> None:
    batch = a_batch(KEYS)
    assert without(batch, {6, 7}) is batch


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=30), st.data())
def test_any_records_of_any_size_go_and_the_others_stay(keys: list[bytes], data: st.DataObject) -> None:
    offsets = data.draw(st.sets(st.integers(0, len(keys) - 1)))
    batch = a_batch(keys)
    assert records_of(without(batch, offsets)) == [one for one in records_of(batch) if one.offset not in offsets]


def test_a_damaged_batch_is_refused() -> None:
    batch = a_batch(KEYS)
    with pytest.raises(SegmentError, match="checksum"):
        without(batch[:-1] + b"?", {0})
    with pytest.raises(SegmentError, match="format 1"):
        without(batch[:16] + b"\x01" + batch[17:], {0})


def test_a_batch_that_is_cut_off_is_left_to_the_broker() -> None:
    for part in (a_batch(KEYS)[:40], a_batch(KEYS)[:-1]):
        assert without(part, {0}) is part
