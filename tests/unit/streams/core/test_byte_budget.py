"""Budgets of bytes: what fits is kept, the first or the strongest."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st

from streams.core import byte_budget

TEXTS = st.lists(st.text(max_size=12), max_size=30, unique=True)


def test_the_examples_hold() -> None:
    assert doctest.testmod(byte_budget).failed == 0


@given(TEXTS, st.integers(0, 400), st.integers(0, 20))
def test_as_many_of_the_first_as_fit(texts: list[str], room: int, each: int) -> None:
    count = byte_budget.fitting(texts, room, each=each)
    assert byte_budget.total(texts[:count]) + each * count <= room or not count
    if count < len(texts):
        assert byte_budget.total(texts[: count + 1]) + each * (count + 1) > room


@given(TEXTS, st.randoms(use_true_random=False), st.integers(0, 400))
def test_the_strongest_in_their_order(texts: list[str], random: object, room: int) -> None:
    strengths = [random.uniform(-1.0, 1.0) for _ in texts]  # type: ignore[attr-defined]
    kept_indices = byte_budget.strongest(texts, strengths, room)
    assert kept_indices == sorted(kept_indices)
    assert byte_budget.total(texts[place] for place in kept_indices) <= room
    rest = set(range(len(texts))) - set(kept_indices)
    if kept_indices and rest:
        assert max(abs(strengths[place]) for place in rest) <= min(abs(strengths[place]) for place in kept_indices)
