"""The journal finds each user's events before an event, as far back as it remembers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.neural.event_buffer import PADDING, EventBuffer


def a_journal(users: list[int], *, capacity: int) -> EventBuffer:
    journal = EventBuffer(capacity)
    for number, user in enumerate(users):
        journal.add(user, 100 + number, number / 8)
    return journal


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(5, 60), st.integers(1, 6))
def test_histories_equal_those_of_a_list(users: list[int], capacity: int, length: int) -> None:
    journal = a_journal(users, capacity=capacity)
    events = journal.newest(capacity)
    oldest = max(len(users) - capacity, 0)
    assert events.tolist() == list(range(oldest, len(users)))
    for event, history in zip(events.tolist(), journal.histories(events, length), strict=True):
        before = [other for other in range(oldest, event) if users[other] == users[event]][::-1][:length]
        assert history.tolist() == before + [PADDING] * (length - len(before))


def test_columns_are_read_by_number_and_padding_says_nothing() -> None:
    journal = a_journal([7, 8, 7, 7], capacity=2)
    events = np.array([2, 3, PADDING])
    assert journal.users(events[:2]).tolist() == [7, 7]
    assert journal.items(events).tolist() == [102, 103, PADDING]
    assert journal.values(events).tolist() == [0.25, 0.375, 0.0]


def test_draws_reach_every_event_remembered_and_lean_to_the_newest() -> None:
    journal = a_journal([0] * 10, capacity=4)
    uniform = np.linspace(0, 1, 1_000, endpoint=False, dtype=np.float32)
    assert np.bincount(journal.sample(uniform))[6:].tolist() == [250] * 4
    leaning = np.bincount(journal.sample(uniform, recency_bias=3.0))
    assert leaning.nonzero()[0].tolist() == [6, 7, 8, 9]
    assert (np.diff(leaning[6:]) > 0).all()
