"""Conflation: the newest value wins, and every token comes back exactly once, when nothing of it is owed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.coalescing_queue import CoalescingQueue


def test_the_newest_value_is_taken_and_both_tokens_come_back() -> None:
    queue: CoalescingQueue[str, str, int] = CoalescingQueue()
    queue.add("first", {"u1": 1, "u2": 1})
    queue.add("second", {"u1": 2})
    assert queue.take(1) == {"u1": 2}
    assert queue.acknowledge(queue.ack_counts(["u1"])) == ["second"]
    assert queue.take(9) == {"u2": 1}
    assert queue.acknowledge(queue.ack_counts(["u2"])) == ["first"]


def test_a_value_that_comes_while_its_key_is_worked_on_is_owed_again() -> None:
    queue: CoalescingQueue[str, str, int] = CoalescingQueue()
    queue.add("first", {"u1": 1})
    queue.take(1)
    queue.add("second", {"u1": 2})
    assert queue.acknowledge(queue.ack_counts(["u1"])) == ["first"]
    assert queue.take(1) == {"u1": 2}
    assert queue.acknowledge(queue.ack_counts(["u1"])) == ["second"]


def test_what_is_put_back_is_owed_still_and_gives_way_to_what_is_newer() -> None:
    queue: CoalescingQueue[str, str, int] = CoalescingQueue()
    queue.add("first", {"u1": 1, "u2": 1})
    entries = queue.take(2)
    queue.add("second", {"u2": 2})
    queue.put_back(entries)
    assert queue.take(2) == {"u2": 2, "u1": 1}
    assert sorted(queue.acknowledge(queue.ack_counts(["u1", "u2"]))) == ["first", "second"]


def test_what_presses_goes_first_and_leaves_a_share_to_what_waits_longest() -> None:
    queue: CoalescingQueue[str, int, int] = CoalescingQueue()
    queue.add("old", dict.fromkeys(range(8), 0))
    queue.add("new", dict.fromkeys(range(8, 16), 0), priority_keys=range(8, 16))
    assert set(queue.take(8)) == {8, 9, 10, 11, 12, 13, 0, 1}
    queue.add("newer", {2: 0, 3: 0}, priority_keys=[3])
    assert set(queue.take(4)) == {14, 15, 3, 2}
    assert queue.acknowledge(queue.ack_counts([*range(8, 16)])) == ["new"]
    assert set(queue.take(9)) == {4, 5, 6, 7}


@given(st.lists(st.one_of(st.sets(st.integers(0, 5), min_size=1), st.integers(1, 4)), max_size=40))
def test_no_token_is_lost_or_given_back_early(steps: list[set[int] | int]) -> None:
    queue: CoalescingQueue[int, int, int] = CoalescingQueue()
    newest: dict[int, int] = {}
    results: dict[int, int] = {}
    tokens: dict[int, set[int]] = {}
    back: list[int] = []
    for number, step in enumerate([*steps, 99, 99]):
        if isinstance(step, set):
            tokens[number] = step
            newest.update(dict.fromkeys(step, number))
            queue.add(number, dict.fromkeys(step, number))
        else:
            queue.put_back(queue.take(step // 2))
            entries = queue.take(step)
            results.update(entries)
            acknowledged_counts = queue.acknowledge(queue.ack_counts(entries))
            assert all(results[key] >= token for token in acknowledged_counts for key in tokens[token])
            back += acknowledged_counts
    assert results == newest
    assert sorted(back) == sorted(tokens)
    assert len(queue) == 0


def test_a_key_that_is_taken_again_before_it_is_done_may_still_wait_again() -> None:
    queue: CoalescingQueue[str, str, int] = CoalescingQueue()
    queue.add("first", {"u1": 1})
    queue.take(1)
    pending_counts = queue.ack_counts(["u1"])
    queue.add("second", {"u1": 2})
    entries = queue.take(1)
    assert queue.acknowledge(pending_counts) == ["first"]
    queue.put_back(entries)
    assert queue.take(1) == {"u1": 2}
    assert queue.acknowledge(queue.ack_counts(["u1"])) == ["second"]
