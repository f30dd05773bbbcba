from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.item.item_stats import ItemState
from streams.core.learning.packed_states import PackedStates

KEYS = st.lists(st.sampled_from("abcdefgh"), max_size=40)


@given(keys=KEYS, objects=st.integers(1, 5), most=st.none() | st.integers(1, 6))
def test_states_last_while_their_keys_are_among_those_used_last(
    keys: list[str], objects: int, most: int | None
) -> None:
    states = PackedStates(ItemState, objects=objects, most=most)
    expected: dict[str, float] = {}
    for key in keys:
        states.setdefault(key, ItemState(key)).rating_sum += 1.0
        expected[key] = expected.pop(key, 0.0) + 1.0
        if most is not None and len(expected) > most:
            del expected[next(iter(expected))]
    assert len(states) == len(expected)
    assert {key: state.rating_sum for key in "abcdefgh" if (state := states.get(key))} == expected
