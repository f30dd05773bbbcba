"""The load: the same for a seed, Zipf in its users, and nothing that the pipeline would refuse."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bench.load import CATEGORIES, EventLoad, Size, zipf
from schemas import record_limit

NOW_MS = 1_700_000_000_000
SIZE = Size(events=3_000, users=300, items=120)


def a_load(size: Size = SIZE) -> EventLoad:
    return EventLoad(size, now_ms=NOW_MS)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_zipf_draws_each_rank_by_its_share(exponent: float) -> None:
    values = zipf(np.random.default_rng(1), 50, 400_000, exponent=exponent)
    shares = np.arange(1, 51, dtype=float) ** -exponent
    assert values.min() == 0
    assert values.max() == 49
    np.testing.assert_allclose(np.bincount(values, minlength=50) / len(values), shares / shares.sum(), atol=0.003)


def test_load_of_a_seed_is_always_the_same() -> None:
    assert list(a_load().history()) == list(a_load().history())
    assert a_load().items == a_load().items


def test_history_ends_now_and_is_in_order() -> None:
    times = [event.occurred_at for event in a_load().history()]
    assert len(times) == SIZE.events
    assert times == sorted(times)
    assert NOW_MS - 1_000_000 < times[-1] <= NOW_MS


def test_every_event_is_one_that_the_pipeline_takes() -> None:
    load = a_load()
    catalogue = {item.item_id for item in load.items}
    for event in load.history():
        record_limit.check(event, now_ms=NOW_MS)
        assert event.item_id in catalogue
    for item in load.items:
        record_limit.check(item, now_ms=NOW_MS)


def test_no_two_events_share_an_id() -> None:
    load = a_load()
    live = load.live(500, start_ms=NOW_MS, step_ms=1, salt=200) + load.live(500, start_ms=NOW_MS, step_ms=1, salt=1000)
    ids = [event.event_id for event in [*load.history(), *load.one_event_each(), *live]]
    assert len(set(ids)) == len(ids)


def test_live_events_have_times_of_their_own() -> None:
    times = [event.occurred_at for event in a_load().live(400, start_ms=NOW_MS, step_ms=5, salt=1)]
    assert times == list(range(NOW_MS, NOW_MS + 2_000, 5))


def test_one_each_is_one_event_of_every_user() -> None:
    load = a_load()
    assert Counter(event.user_id for event in load.one_event_each()) == Counter(load.user_ids)


def test_catalogue_names_each_item_once_and_covers_all_categories() -> None:
    items = a_load().items
    assert len({item.item_id for item in items}) == SIZE.items
    assert {item.category for item in items} == set(CATEGORIES)
