"""Cutting and interleaving keep every record, in order, within bounds, and fair."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.transport.batcher import RECORD_BYTES, cut, interleave, size_of


@dataclass(frozen=True)
class Piece:
    offset: int
    serialized_key_size: int
    serialized_value_size: int


sizes = st.lists(st.tuples(st.integers(-1, 50), st.integers(-1, 300)), max_size=60)


@given(sizes=sizes, max_records=st.integers(1, 20), max_bytes=st.integers(1, 2_000))
def test_cuts_keep_every_record_in_order_within_bounds(
    sizes: list[tuple[int, int]], max_records: int, max_bytes: int
) -> None:
    pieces = [Piece(offset, key, value) for offset, (key, value) in enumerate(sizes)]
    batches = list(cut(pieces, max_records=max_records, max_bytes=max_bytes))
    assert [piece for records, _ in batches for piece in records] == pieces
    for records, size_bytes in batches:
        assert size_bytes == sum(size_of(piece) for piece in records)
        assert 1 <= len(records) <= max_records
        assert size_bytes <= max_bytes or len(records) == 1
    for (previous, left_bytes), (right, _) in pairwise(batches):
        # no cut without need
        assert len(previous) == max_records or left_bytes + size_of(right[0]) > max_bytes


def test_null_key_and_value_weigh_nothing() -> None:
    assert size_of(Piece(0, -1, -1)) == RECORD_BYTES


@given(lanes=st.dictionaries(st.integers(), st.lists(st.integers(), max_size=8), max_size=6))
def test_interleaving_keeps_order_and_lets_no_lane_get_ahead(lanes: dict[int, list[int]]) -> None:
    elements: dict[int, list[int]] = {key: [] for key in lanes}
    for key, element in interleave(lanes):
        elements[key].append(element)
        for other, rest in lanes.items():
            if len(elements[other]) < len(rest):
                assert len(elements[key]) <= len(elements[other]) + 1
    assert elements == lanes
