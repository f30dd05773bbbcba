"""A fetch is delivered only where delivery stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.transport.cursor import Continuation, Cursors


def at(position: int | None) -> Cursors[str]:
    cursors: Cursors[str] = Cursors()
    cursors.seek("t", position)
    return cursors


def test_dropped_fetch_is_fetched_again() -> None:
    cursors = at(100)
    assert cursors.compare("t", 100) is Continuation.CONTINUES
    # it brought 100 to 149, and was dropped on its way: the cursor was not moved
    assert cursors.compare("t", 150) is Continuation.REWIND
    assert cursors.position("t") == 100
    assert cursors.compare("t", 100) is Continuation.CONTINUES


def test_position_set_by_the_broker_is_accepted_after_one_rewind() -> None:
    cursors = at(100)
    assert cursors.compare("t", 5_000) is Continuation.REWIND
    assert cursors.compare("t", 5_000) is Continuation.JUMPED
    cursors.move("t", 5_010)
    assert cursors.compare("t", 5_010) is Continuation.CONTINUES


def test_position_that_was_just_being_set_is_accepted_at_once() -> None:
    assert at(100).compare("t", None) is Continuation.JUMPED


def test_first_fetch_of_an_unknown_position_is_accepted() -> None:
    assert at(None).compare("t", 7) is Continuation.CONTINUES
    assert Cursors[str]().compare("t", 7) is Continuation.CONTINUES


def test_seek_between_two_disagreements_asks_for_another_rewind() -> None:
    cursors = at(100)
    assert cursors.compare("t", 150) is Continuation.REWIND
    cursors.seek("t", 50)
    assert cursors.compare("t", 100) is Continuation.REWIND


@given(drops=st.lists(st.booleans(), max_size=30))
def test_everything_is_delivered_once_whatever_is_dropped(drops: list[bool]) -> None:
    cursors = at(0)
    client, delivered_offsets = 0, []
    for is_dropped in [*drops, False, False]:
        start, client = client, client + 10
        verdict = cursors.compare("t", start)
        if verdict is Continuation.REWIND:
            client = cursors.position("t") or 0
        elif not is_dropped:
            delivered_offsets += range(start, start + 10)
            cursors.move("t", client)
    assert delivered_offsets == list(range(len(delivered_offsets)))
