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
    dropped_keys: list[str] = []
    states = PackedStates(ItemState, objects=objects, most=most, on_drop=dropped_keys.append)
    expected: dict[str, float] = {}
    for key in keys:
        states.setdefault(key, ItemState(key)).rating_sum += 1.0
        expected[key] = expected.pop(key, 0.0) + 1.0
        if most is not None and len(expected) > most:
            oldest = next(iter(expected))
            del expected[oldest]
            assert dropped_keys.pop() == oldest
    assert not dropped_keys
    again = PackedStates(ItemState, objects=objects, most=most)
    again.restore(states.state())
    for one in (states, again):
        assert one.state()["keys"] == list(expected)
        assert {key: state.rating_sum for key in expected if (state := one.get(key))} == expected


def test_a_restored_cache_keeps_those_used_last_where_fewer_fit() -> None:
    states = PackedStates(ItemState)
    for key in "abc":
        states.setdefault(key, ItemState(key))
    states.get("a")
    fewer = PackedStates(ItemState, most=2)
    fewer.restore(states.state())
    assert (fewer.state()["keys"], "b" in fewer, len(fewer)) == (["c", "a"], False, 2)
